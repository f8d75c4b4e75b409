/* races: two vcpus. One issues long batches and multicalls, which are interrupted and go on later, from lists that the other
 * rewrites all the time: good entries, writable entries for tables, foreign frames, nonsense; counts and pointers in multicalls;
 * flags and frames of grants that are being mapped; its own frames, pinned, unpinned and given back by both. What each call
 * answers depends on who was faster, so nothing of it is printed; the walker outside says whether the tables are sound. A broken
 * hypervisor uses an argument that it has checked, after the guest has changed it. */
#define NAME "races"
#include "../attack.h"

#include <xen/grant_table.h>
#include <xen/sched.h>
#include <xen/vcpu.h>

#define REQUESTS 512

static struct mmu_update requests[REQUESTS];
static struct multicall_entry calls[64];
static volatile uint64_t table[512] PAGE_ALIGNED;
static volatile uint64_t upper[512] PAGE_ALIGNED;
static volatile uint64_t window[512] PAGE_ALIGNED;
static volatile uint64_t plain[512] PAGE_ALIGNED;
static volatile struct grant_entry_v1 grants[512] PAGE_ALIGNED;
static struct mmuext_op ops[64];
static char stack[16384] __attribute__((aligned(16)));
static uint16_t self;
static volatile int over;

static uint64_t state = 88172645463325252;

static uint64_t number(void) {
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  return state;
}

static uint64_t some_frame(void) {
  uint64_t frames[] = {mfn_of(table), mfn_of(upper), mfn_of(plain), mfn_of(window), foreign, unowned, mfn_of((void *)start_info->pt_base), 0};
  return frames[number() % 8];
}

/* Not the tables that it runs with. */
static uint64_t a_table(void) {
  uint64_t kind = number() % 8;
  return kind == 0 ? foreign : kind == 1 ? unowned : kind == 2 ? mfn_of(upper) : mfn_of(table);
}

static void rewrite(void) {
  for (int i = 0; i < 16; i++) {
    struct mmu_update *r = &requests[number() % REQUESTS];
    uint64_t kind = number();
    r->ptr = frame(a_table(), number() % 512 * 8) | (kind % 64 == 0 ? 2 : 0);
    r->val = kind % 3 == 0 ? 0 : frame(some_frame(), number() % 2 ? RO : RW) | (number() % 4 ? 0 : _PAGE_USER);
    struct mmuext_op *op = &ops[number() % 64];
    op->cmd = (uint32_t)(number() % 5);
    op->arg1_mfn = number() % 2 ? mfn_of(upper) : mfn_of(table);
    /* What an entry is stays, or the guest would unmap its own lists. */
    uint64_t entry = number() % 64;
    struct multicall_entry *c = &calls[entry];
    c->op = entry % 2 ? __HYPERVISOR_mmu_update : __HYPERVISOR_update_va_mapping;
    c->args[0] = c->op == __HYPERVISOR_mmu_update ? (uint64_t)requests : (uint64_t)window;
    c->args[1] = c->op == __HYPERVISOR_mmu_update ? number() % REQUESTS : frame(some_frame(), number() % 2 ? RO : RW);
    c->args[2] = 0;
    c->args[3] = DOMID_SELF;
    grants[9].frame = (uint32_t)some_frame();
    grants[9].flags = (uint16_t)(number() % 2 ? GTF_permit_access : number() % 8);
  }
}

/* The second vcpu: it has no handlers and must not fault. */
static void second(void) {
  while (!over) rewrite();
  HYPERVISOR_vcpu_op(VCPUOP_down, 1, 0);
  for (;;) HYPERVISOR_sched_op(SCHEDOP_block, 0);
}

static long start_second(void) {
  static struct vcpu_guest_context context;
  context.flags = VGCF_in_kernel | VGCF_online;
  context.user_regs.rip = (uint64_t)second;
  context.user_regs.rsp = (uint64_t)stack + sizeof stack - 8;
  context.user_regs.cs = FLAT_KERNEL_CS;
  context.user_regs.ss = FLAT_KERNEL_SS;
  context.user_regs.rflags = 0x202;
  context.kernel_ss = FLAT_KERNEL_SS;
  context.kernel_sp = context.user_regs.rsp;
  context.ctrlreg[3] = frame(mfn_of((void *)start_info->pt_base), 0);
  long result = HYPERVISOR_vcpu_op(VCPUOP_initialise, 1, &context);
  return result ? result : HYPERVISOR_vcpu_op(VCPUOP_up, 1, 0);
}

void guest_main(void) {
  uint64_t frames[1];
  struct gnttab_setup_table setup = {.dom = DOMID_SELF, .nr_frames = 1, .frame_list = (uint64_t)frames};
  find_frames();
  self = own_domid();
  HYPERVISOR_grant_table_op(GNTTABOP_setup_table, &setup, 1);
  set_page(grants, frame(frames[0], RW));
  grants[9].domid = self;
  set_page(table, frame(mfn_of(table), RO));
  set_page(upper, frame(mfn_of(upper), RO));
  show("pin a table", ext(MMUEXT_PIN_L1_TABLE, mfn_of(table)));
  show("start the second vcpu", start_second());
  uint64_t until = system_time() + 60000000;
  long rounds = 0;
  for (; rounds < 20 || system_time() < until; rounds++) {
    HYPERVISOR_mmu_update(requests, REQUESTS, 0, DOMID_SELF);
    hypercall2(__HYPERVISOR_multicall, calls, 64);
    HYPERVISOR_mmuext_op(ops, 64, 0, DOMID_SELF);
    struct gnttab_map_grant_ref map = {.host_addr = (uint64_t)window, .flags = GNTMAP_host_map | (rounds & 1 ? GNTMAP_readonly : 0),
                                       .ref = 9, .dom = self};
    set_page(window, 0);
    HYPERVISOR_grant_table_op(GNTTABOP_map_grant_ref, &map, 1);
    struct gnttab_unmap_grant_ref unmap = {.host_addr = (uint64_t)window, .handle = map.handle};
    if (map.status == 0) HYPERVISOR_grant_table_op(GNTTABOP_unmap_grant_ref, &unmap, 1);
    set_page(window, frame(mfn_of(window), RW));
    /* Entries that failed stop a batch: let some more of them through. */
    for (int i = 0; i < REQUESTS; i += 7) requests[i] = (struct mmu_update){.ptr = frame(mfn_of(table), i % 512 * 8), .val = 0};
  }
  show("there were rounds", rounds >= 20);
  over = 1;
  printf(NAME ": done\n");
}
