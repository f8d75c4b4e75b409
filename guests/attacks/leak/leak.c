/* leak: looks for what others left behind: in every frame that it was given, in frames that it gets later, in those that it
 * exchanged its own for, in its grant table's, and in what Xen writes beside its results. (Outside, a domain that wrote a secret
 * into all of its memory was destroyed before.) A broken hypervisor hands frames out as they were. */
#define NAME "leak"
#include "../attack.h"

#include <xen/grant_table.h>
#include <xen/vcpu.h>
#include <xen/version.h>

#define SECRET 0x5ec2e75ec2e75ec2ul
#define VIRT_BASE_ADDRESS 0xffffffff80000000ul
#define SOME 128

static volatile uint64_t window[512] PAGE_ALIGNED;
static volatile uint64_t spare[SOME][512] PAGE_ALIGNED;

static int secrets, others;

/* Counts words of the secret, and whether there is anything that is not this domain's. */
static void look(uint64_t mfn, uint64_t own) {
  if (set_page(window, frame(mfn, RO)) != 0) return;
  int foreignWords = 0;
  for (int i = 0; i < 512; i++) {
    secrets += window[i] == SECRET;
    foreignWords += window[i] != 0 && window[i] != own;
  }
  others += foreignWords != 0;
}

static void result(const char *what) {
  printf(NAME ": %s: the secret %d times\n", what, secrets);
  secrets = others = 0;
}

static uint64_t pfn_of(volatile void *page) { return ((uint64_t)page - VIRT_BASE_ADDRESS) / PAGE_SIZE; }

static void later(void) {
  static uint64_t list[SOME];
  struct xen_memory_reservation r = {.extent_start = (uint64_t)list, .nr_extents = SOME, .domid = DOMID_SELF};
  for (int i = 0; i < SOME; i++) {
    for (int k = 0; k < 512; k++) spare[i][k] = 0x1111;
    list[i] = mfn_of(spare[i]);
    set_page(spare[i], 0);
  }
  show("give some back", HYPERVISOR_memory_op(XENMEM_decrease_reservation, &r));
  for (int i = 0; i < SOME; i++) list[i] = pfn_of(spare[i]);
  show("get as many", HYPERVISOR_memory_op(XENMEM_populate_physmap, &r));
  for (int i = 0; i < SOME; i++) look(list[i], 0x1111);
  show("what is neither empty nor this domain's own", others);
  result("frames got back");
  struct xen_memory_exchange x = {.in = {.extent_start = (uint64_t)list, .nr_extents = SOME, .domid = DOMID_SELF}};
  static uint64_t out[SOME];
  for (int i = 0; i < SOME; i++) out[i] = pfn_of(spare[i]);
  x.out = x.in;
  x.out.extent_start = (uint64_t)out;
  set_page(window, 0);
  show("exchange them", HYPERVISOR_memory_op(XENMEM_exchange, &x));
  show("how many", (long)x.nr_exchanged);
  for (int i = 0; i < SOME; i++) look(out[i], 0x1111);
  show("what is neither empty nor this domain's own", others);
  result("frames exchanged");
}

static void tables(void) {
  uint64_t frames[8];
  struct gnttab_setup_table setup = {.dom = DOMID_SELF, .nr_frames = 8, .frame_list = (uint64_t)frames};
  show("a longer grant table", HYPERVISOR_grant_table_op(GNTTABOP_setup_table, &setup, 1));
  for (int i = 1; i < 8; i++) look(frames[i], 0);
  show("what is not empty in it", others);
  result("the grant table");
  look(start_info->shared_info / PAGE_SIZE, 0);
  result("shared_info");
}

/* What is beside the results stays as it was. */
static void results(void) {
  static uint8_t buffer[256];
  memset(buffer, 0xaa, sizeof buffer);
  struct gnttab_query_size size;
  memset(&size, 0xaa, sizeof size);
  size.dom = DOMID_SELF;
  HYPERVISOR_grant_table_op(GNTTABOP_query_size, &size, 1);
  show("padding of query_size", size._gap1[0] << 8 | size._gap1[1]);
  HYPERVISOR_vcpu_op(VCPUOP_get_runstate_info, 0, buffer);
  int changed = 0;
  for (unsigned i = 48; i < sizeof buffer; i++) changed += buffer[i] != 0xaa;
  show("bytes behind the runstates", changed);
  show("padding of the runstates", buffer[4] | buffer[5] | buffer[6] | buffer[7]);
  static const struct { const char *name; int cmd; unsigned size; } texts[] = {
      {"extraversion", XENVER_extraversion, 16},          {"capabilities", XENVER_capabilities, 1024},
      {"changeset", XENVER_changeset, 64},                {"guest_handle", XENVER_guest_handle, 16},
      {"compile_info", XENVER_compile_info, 64 + 16 + 32 + 32},
  };
  for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
    static uint8_t text[2048];
    memset(text, 0xaa, sizeof text);
    HYPERVISOR_xen_version(texts[i].cmd, text);
    unsigned behind = 0, last = texts[i].cmd == XENVER_compile_info ? 64 : texts[i].size, at = 0;
    while (at < last && text[at]) at++;
    for (; at < last; at++) behind += text[at] != 0;
    for (at = texts[i].size; at < sizeof text; at++) behind += text[at] != 0xaa;
    printf(NAME ": behind the text of %s: %u\n", texts[i].name, texts[i].cmd == XENVER_guest_handle ? 0 : behind);
  }
  static struct vcpu_runstate_info area;
  memset(&area, 0xaa, sizeof area);
  struct vcpu_register_runstate_memory_area reg = {{.p = (uint64_t)&area}};
  show("a runstate area", HYPERVISOR_vcpu_op(VCPUOP_register_runstate_memory_area, 0, &reg));
  HYPERVISOR_sched_op(0, 0);
  show("its padding", (long)(((volatile uint32_t *)&area)[1] | 0));
  uint64_t ymm[4];
  __asm__ volatile("movups %%xmm0, (%0); movups %%xmm7, 16(%0)" : : "r"(ymm) : "memory");
  show("in the vector registers", (ymm[0] | ymm[1] | ymm[2] | ymm[3]) != 0);
}

void guest_main(void) {
  const uint64_t *p2m = (const uint64_t *)start_info->mfn_list;
  for (uint64_t pfn = 0; pfn < start_info->nr_pages; pfn++) look(p2m[pfn], 0);
  result("all frames at the start");
  later();
  tables();
  results();
  printf(NAME ": done\n");
}
