/* descriptors: tries every kind of segment descriptor at every privilege level, one at a time and as a whole page: call gates to
 * the hypervisor's code, task and interrupt gates, system segments, data of DPL 0; in pages that are writable, that are tables, in
 * an LDT that the guest can write to; and loads what was accepted. A broken hypervisor keeps a descriptor by which a segment
 * of ring 0 can be reached. */
#define NAME "descriptors"
#include "../attack.h"

static volatile uint64_t gdt[512] PAGE_ALIGNED;
static volatile uint64_t ldt[512] PAGE_ALIGNED;
static volatile uint64_t plain[512] PAGE_ALIGNED;

static uint64_t vector, error;
static volatile int length;

static int skip(struct regs *regs) {
  vector = regs->vector, error = regs->error;
  regs->rip += length;
  return 1;
}

static long put(int slot, uint64_t descriptor) {
  return hypercall2(__HYPERVISOR_update_descriptor, frame(mfn_of(gdt), slot * 8), descriptor);
}

#define LOAD(what, bytes, assembly, ...)                                                     \
  do {                                                                                       \
    vector = 0, error = 0, length = bytes;                                                   \
    __asm__ volatile(assembly __VA_ARGS__);                                                  \
    if (vector) printf(NAME ": %s: vector %lu, error 0x%lx\n", what, vector, error);         \
    else printf(NAME ": %s: loaded\n", what);                                                \
  } while (0)

/* An access byte: present, DPL, system or not, type. Limit 0xfffff, base 0, granularity 4 KiB, 64-bit if code. */
static uint64_t segment(unsigned access) {
  uint64_t attributes = (access & 0x18) == 0x18 ? 0xa : 0xc;
  return 0xffff | (uint64_t)access << 40 | 0xful << 48 | attributes << 52;
}

static void kinds(void) {
  for (unsigned high = 0; high < 16; high++) {
    printf(NAME ": access 0x%x:", high << 4);
    for (unsigned low = 0; low < 16; low++) {
      put(5, 0);
      long result = put(5, segment(high << 4 | low));
      if (result) printf(" %ld", result);
      else printf(" %lx", gdt[5] >> 40 & 0xff);
    }
    printf("\n");
  }
}

static void gates(void) {
  static const uint16_t selectors[] = {0, 3, 8, 0x10, 0xdff8, 0xe000, 0xe008, 0xe00b, 0xe010, 0xe02b, 0xe033, 0xe038, 4, 0xfffc, 0xfff8};
  for (unsigned dpl = 0; dpl < 4; dpl += 3) {
    printf(NAME ": call gates of DPL %u to selectors:", dpl);
    for (unsigned i = 0; i < sizeof selectors / sizeof *selectors; i++) {
      put(6, 0);
      long result = put(6, (uint64_t)selectors[i] << 16 | 0x8c0000000000 | (uint64_t)dpl << 45);
      if (result) printf(" %ld", result);
      else printf(" %lx", gdt[6]);
    }
    printf("\n");
  }
  show("call gate with reserved bits", put(6, 0xe033ul << 16 | 0xec1f00000000));
  show("task gate", put(6, 0xe033ul << 16 | 0xe50000000000));
  show("interrupt gate", put(6, 0xe033ul << 16 | 0xee0000000000));
  show("all ones", put(6, -1ul));
  show("not present, all else set", put(6, ~(1ul << 47)));
}

static void loads(void) {
  for (unsigned v = 0; v < 20; v++)
    if (v != TRAP_page_fault) trap_bind(v, skip);
  put(1, segment(0x92)); /* data of DPL 0 */
  put(2, segment(0x9a)); /* code of DPL 0 */
  put(3, segment(0xf2)); /* data of DPL 3 */
  put(4, segment(0x72)); /* not present */
  put(6, 0xe033ul << 16 | 0xec0000000000 | ((uint64_t)plain & 0xffff) | ((uint64_t)plain >> 16 & 0xffff) << 48);
  put(7, (uint64_t)plain >> 32);
  LOAD("ds: data that was of DPL 0, at ring 0", 2, "mov %%eax, %%ds", : : "a"(8));
  LOAD("ds: the same at ring 3", 2, "mov %%eax, %%ds", : : "a"(8 | 3));
  LOAD("ss: data that was of DPL 0, at ring 0", 2, "mov %%eax, %%ss", : : "a"(8));
  LOAD("ss: the same at ring 3", 2, "mov %%eax, %%ss", : : "a"(8 | 3));
  LOAD("ss: as it was", 2, "mov %%eax, %%ss", : : "a"(FLAT_KERNEL_SS));
  LOAD("ss: the hypervisor's", 2, "mov %%eax, %%ss", : : "a"(0xe010));
  LOAD("ss: the hypervisor's at ring 3", 2, "mov %%eax, %%ss", : : "a"(0xe013));
  LOAD("ds: the hypervisor's", 2, "mov %%eax, %%ds", : : "a"(0xe010));
  LOAD("ds: not present", 2, "mov %%eax, %%ds", : : "a"(4 * 8 | 3));
  LOAD("ds: a call gate", 2, "mov %%eax, %%ds", : : "a"(6 * 8 | 3));
  LOAD("ds: past the end", 2, "mov %%eax, %%ds", : : "a"(512 * 8 | 3));
  LOAD("es: of the hypervisor's task state", 2, "mov %%eax, %%es", : : "a"(0xe043));
  static struct {
    uint32_t offset;
    uint16_t selector;
  } far;
  far.selector = 6 * 8 | 3;
  LOAD("far call by the gate", 3, "lcall *(%%rax)", : : "a"(&far) : "memory");
  LOAD("far jump by the gate", 2, "ljmp *(%%rax)", : : "a"(&far) : "memory");
  far.selector = 0xe008;
  LOAD("far call to the hypervisor's code", 2, "lcall *(%%rax)", : : "a"(&far) : "memory");
  far.selector = 0xe040;
  LOAD("far jump to the hypervisor's task", 2, "ljmp *(%%rax)", : : "a"(&far) : "memory");
  LOAD("lldt", 3, "lldt %%ax", : : "a"(0));
  LOAD("ltr", 3, "ltr %%ax", : : "a"(0xe040));
  LOAD("ds: null", 2, "mov %%eax, %%ds", : : "a"(0));
  LOAD("es: null", 2, "mov %%eax, %%es", : : "a"(0));
}

static void pages(void) {
  uint64_t mfn = mfn_of(gdt), other = mfn_of(ldt);
  show("map the GDT writable", set_page(gdt, frame(mfn, RW)));
  show("the GDT as a level-1 table", ext(MMUEXT_PIN_L1_TABLE, mfn));
  show("mmu_update in the GDT", update(frame(mfn, 8), 0));
  show("clear the GDT", ext(MMUEXT_CLEAR_PAGE, mfn));
  show_touch("write to the GDT", &gdt[1], 1);
  show("update_descriptor in a writable page", hypercall2(__HYPERVISOR_update_descriptor, frame(mfn_of(plain), 8), segment(0xf2)));
  show("update_descriptor in a table", hypercall2(__HYPERVISOR_update_descriptor, entry_address(plain, 1), segment(0xf2)));
  show("update_descriptor, odd address", hypercall2(__HYPERVISOR_update_descriptor, frame(mfn, 12), segment(0xf2)));
  show("set_gdt of none", hypercall2(__HYPERVISOR_set_gdt, 0, 0));
  show("map the GDT writable now", set_page(gdt, frame(mfn, RW)));
  memset((void *)ldt, 0, PAGE_SIZE);
  ldt[511] = 0xe008ul << 16 | 0x8e0000000000; /* an interrupt gate, last in the page */
  ldt[1] = segment(0x92);
  set_page(ldt, frame(other, RO));
  show("set_gdt of a page with an interrupt gate", hypercall2(__HYPERVISOR_set_gdt, &other, 512));
  show("and of fewer entries", hypercall2(__HYPERVISOR_set_gdt, &other, 1));
  set_page(ldt, frame(other, RW));
  ldt[511] = 0;
  ldt[1] = segment(0x92);
  set_page(ldt, frame(other, RO));
  uint64_t twice[2] = {other, other};
  show("set_gdt of a page twice", hypercall2(__HYPERVISOR_set_gdt, twice, 1024));
  show("DPL of what was 0", (long)(ldt[1] >> 45 & 3));
  show("set_gdt of a page twice, the second bad", (twice[1] = table_of(plain, 1), hypercall2(__HYPERVISOR_set_gdt, twice, 1024)));
  show("set_gdt of none", hypercall2(__HYPERVISOR_set_gdt, 0, 0));
  show("map it writable", set_page(ldt, frame(other, RW)));
}

static void local(void) {
  for (unsigned v = 0; v < 20; v++)
    if (v != TRAP_page_fault) trap_bind(v, skip);
  memset((void *)ldt, 0, PAGE_SIZE);
  ldt[1] = segment(0xf2);
  ldt[2] = segment(0x92);
  set_page(ldt, frame(mfn_of(ldt), RO));
  show("LDT in the hypervisor's range", ext2(MMUEXT_SET_LDT, HYPERVISOR_VIRT_START, 512));
  show("LDT not canonical", ext2(MMUEXT_SET_LDT, NOT_CANONICAL, 512));
  show("LDT not aligned", ext2(MMUEXT_SET_LDT, (uint64_t)ldt + 8, 512));
  show("LDT of 8193 entries", ext2(MMUEXT_SET_LDT, (uint64_t)ldt, 8193));
  show("LDT not mapped", ext2(MMUEXT_SET_LDT, 0x123456789000, 512));
  show("LDT", ext2(MMUEXT_SET_LDT, (uint64_t)ldt, 512));
  LOAD("ds: data in the LDT", 2, "mov %%eax, %%ds", : : "a"(8 | 7));
  LOAD("ds: what was of DPL 0 in the LDT", 2, "mov %%eax, %%ds", : : "a"(16 | 7));
  LOAD("ds: past the LDT", 2, "mov %%eax, %%ds", : : "a"(512 * 8 | 7));
  LOAD("ds: null", 2, "mov %%eax, %%ds", : : "a"(0));
  show("map the LDT writable", set_page(ldt, frame(mfn_of(ldt), RW)));
  show("no LDT", ext2(MMUEXT_SET_LDT, 0, 0));
  show("map it writable then", set_page(ldt, frame(mfn_of(ldt), RW)));
}

void guest_main(void) {
  uint64_t mfn = mfn_of(gdt);
  set_page(gdt, frame(mfn, RO));
  show("set_gdt", hypercall2(__HYPERVISOR_set_gdt, &mfn, 512));
  kinds();
  gates();
  loads();
  pages();
  local();
  printf(NAME ": done\n");
}
