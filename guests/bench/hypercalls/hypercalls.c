/* hypercalls: how long one operation of the hypervisor takes, seen from inside a domain. Each is done many times in a row,
 * between two readings of the system time; the median of 25 such runs of about a millisecond is printed. From the ABI
 * alone, so that the same file runs on real Xen 4.17. `npm run bench -- hypercalls` reads what it prints:
 * "bench: NAME: N.N ns". Handlers are as short as they can be (entries.S), so that it is the hypervisor that is timed.
 * With "quick" on the command line nothing is repeated often: then only that all of it works is worth reading. */
#include <lib.h>

#include <xen/callback.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/sched.h>
#include <xen/version.h>

#define SAMPLES 25
#define SAMPLE_NS 1000000ul
#define WARM_UP_NS 300000000ul
#define BATCH 64
#define CALLS 32
#define MSR_EFER 0xc0000080
#define REF 8

/* entries.S */
extern char bench_event[], bench_fault[], bench_syscall[], bench_user[], event_entry[];
extern void bench_touch(const volatile void *address);
uint64_t bench_port, bench_events, bench_left;

static char kernel_stack[8192] __attribute__((aligned(16)));
static char user_stack[4096] __attribute__((aligned(16)));
static volatile char window[BATCH][PAGE_SIZE] PAGE_ALIGNED;
static volatile char frames[2][PAGE_SIZE] PAGE_ALIGNED;
static volatile char table[PAGE_SIZE] PAGE_ALIGNED;
static struct grant_entry_v1 grants[512] PAGE_ALIGNED;

/* The entries that map frames[0] and frames[1]; the level-1 table's slot for window[i]; which of the two is next. */
static uint64_t entries[2];
static uint64_t slots[BATCH];
static unsigned turn;
static long failed;
static uint64_t warm_up = WARM_UP_NS;

static void check(long result) {
  if (result != 0) failed = result;
}

/* Times `run`, which does its operation `count` x `each` times. */
static void measure(const char *name, void (*run)(unsigned count), unsigned each) {
  static uint64_t tenths[SAMPLES];
  failed = 0;
  unsigned count = 16;
  uint64_t start = system_time(), took = 0;
  while (system_time() - start < warm_up) {
    uint64_t from = system_time();
    run(count);
    took = system_time() - from;
    if (took < SAMPLE_NS && count < 1u << 20) count += count / 2;
    else if (took > 2 * SAMPLE_NS && count > 16) count -= count / 4;
  }
  for (int i = 0; i < SAMPLES; i++) {
    uint64_t from = system_time();
    run(count);
    uint64_t value = (system_time() - from) * 10 / ((uint64_t)count * each);
    int at = i;
    for (; at > 0 && tenths[at - 1] > value; at--) tenths[at] = tenths[at - 1];
    tenths[at] = value;
  }
  uint64_t median = tenths[SAMPLES / 2];
  if (failed != 0) printf("bench: %s: failed, %ld\n", name, failed);
  else printf("bench: %s: %lu.%lu ns\n", name, median / 10, median % 10);
}

static void null_hypercall(unsigned count) {
  while (count--) HYPERVISOR_xen_version(XENVER_version, 0);
}

static void multicall(unsigned count) {
  static struct multicall_entry calls[CALLS];
  while (count--) {
    for (int i = 0; i < CALLS; i++) calls[i].op = __HYPERVISOR_xen_version;
    check(hypercall2(__HYPERVISOR_multicall, calls, CALLS));
  }
}

static void event(unsigned count) {
  uint64_t before = bench_events;
  struct evtchn_send send = {.port = (uint32_t)bench_port};
  for (unsigned i = 0; i < count; i++) HYPERVISOR_event_channel_op(EVTCHNOP_send, &send);
  if (bench_events - before != count) failed = (long)(bench_events - before);
}

static void masked_event(unsigned count) {
  struct evtchn_send send = {.port = (uint32_t)bench_port};
  while (count--) {
    shared_info.evtchn_pending[0] &= ~(1ul << bench_port);
    check(HYPERVISOR_event_channel_op(EVTCHNOP_send, &send));
  }
}

static void one_update(unsigned count) {
  while (count--) {
    struct mmu_update update = {slots[0], entries[turn ^= 1]};
    check(HYPERVISOR_mmu_update(&update, 1, 0, DOMID_SELF));
  }
}

static void batch_update(unsigned count) {
  static struct mmu_update updates[BATCH];
  while (count--) {
    turn ^= 1;
    for (int i = 0; i < BATCH; i++) updates[i] = (struct mmu_update){slots[i], entries[turn]};
    check(HYPERVISOR_mmu_update(updates, BATCH, 0, DOMID_SELF));
  }
}

static uint64_t flush;
static void va_mapping(unsigned count) {
  while (count--) check(HYPERVISOR_update_va_mapping(window[0], entries[turn ^= 1], flush));
}

static void direct_store(unsigned count) {
  volatile uint64_t *slot = (uint64_t *)address_of_mfn(slots[0] / PAGE_SIZE) + slots[0] % PAGE_SIZE / 8;
  while (count--) *slot = entries[turn ^= 1];
}

static void pin(unsigned count) {
  struct mmuext_op op = {.cmd = MMUEXT_PIN_L4_TABLE, .arg1_mfn = mfn_of(table)};
  struct mmuext_op undo = {.cmd = MMUEXT_UNPIN_TABLE, .arg1_mfn = mfn_of(table)};
  while (count--) {
    check(HYPERVISOR_mmuext_op(&op, 1, 0, DOMID_SELF));
    check(HYPERVISOR_mmuext_op(&undo, 1, 0, DOMID_SELF));
  }
}

static void base_pointer(unsigned count) {
  struct mmuext_op op = {.cmd = MMUEXT_NEW_BASEPTR, .arg1_mfn = mfn_of((void *)start_info->pt_base)};
  while (count--) check(HYPERVISOR_mmuext_op(&op, 1, 0, DOMID_SELF));
}

static void fault(unsigned count) {
  while (count--) bench_touch(0);
}

static void yield(unsigned count) {
  while (count--) check(HYPERVISOR_sched_op(SCHEDOP_yield, 0));
}

static uint16_t own_domid;
static void grant(unsigned count) {
  struct gnttab_map_grant_ref map = {.host_addr = (uint64_t)window[1], .flags = GNTMAP_host_map, .ref = REF, .dom = own_domid};
  struct gnttab_unmap_grant_ref unmap = {.host_addr = (uint64_t)window[1]};
  while (count--) {
    check(HYPERVISOR_grant_table_op(GNTTABOP_map_grant_ref, &map, 1));
    unmap.handle = map.handle;
    check(HYPERVISOR_grant_table_op(GNTTABOP_unmap_grant_ref, &unmap, 1));
    check(map.status | unmap.status);
  }
}

static void read_msr(unsigned count) {
  while (count--) __asm__ volatile("rdmsr" : : "c"(MSR_EFER) : "rax", "rdx");
}

static void user_call(unsigned count) {
  struct iret_context frame = {.rip = (uint64_t)bench_user,
                               .cs = FLAT_USER_CS,
                               .rflags = 0x202,
                               .rsp = (uint64_t)user_stack + sizeof user_stack,
                               .ss = FLAT_USER_SS};
  bench_left = count;
  user_enter(&frame);
}

static void callback(uint16_t type, void *address) {
  struct callback_register arg = {.type = type, .address = (uint64_t)address};
  HYPERVISOR_callback_op(CALLBACKOP_register, &arg);
}

static void events(void) {
  struct evtchn_bind_ipi bind = {.vcpu = 0};
  HYPERVISOR_event_channel_op(EVTCHNOP_bind_ipi, &bind);
  bench_port = bind.port;
  shared_info.evtchn_mask[0] &= ~(1ul << bench_port);
  callback(CALLBACKTYPE_event, bench_event);
  measure("event sent to self: send, upcall, iret", event, 1);
  shared_info.evtchn_mask[0] |= 1ul << bench_port;
  measure("event sent while masked", masked_event, 1);
  callback(CALLBACKTYPE_event, event_entry);
}

static void memory(void) {
  for (int i = 0; i < 2; i++) entries[i] = mfn_of(frames[i]) * PAGE_SIZE | _PAGE_PRESENT | _PAGE_RW;
  for (int i = 0; i < BATCH; i++) slots[i] = entry_address(window[i], 1);
  measure("mmu_update, one L1 entry", one_update, 1);
  measure("mmu_update, batch of 64, each", batch_update, BATCH);
  measure("update_va_mapping, no flush", va_mapping, 1);
  flush = UVMF_INVLPG;
  measure("update_va_mapping, INVLPG", va_mapping, 1);
  flush = UVMF_TLB_FLUSH;
  measure("update_va_mapping, TLB flush", va_mapping, 1);
  HYPERVISOR_vm_assist(VMASST_CMD_enable, VMASST_TYPE_writable_pagetables);
  measure("direct write to a page table", direct_store, 1);
  set_page(table, mfn_of(table) * PAGE_SIZE | _PAGE_PRESENT);
  measure("pin and unpin an empty L4", pin, 1);
}

static void faults(void) {
  struct trap_info traps[2] = {{.vector = TRAP_page_fault, .cs = FLAT_KERNEL_CS, .address = (uint64_t)bench_fault}};
  HYPERVISOR_set_trap_table(traps);
  measure("page fault to a minimal handler and back by iret", fault, 1);
  traps_init();
}

static void grant_table(void) {
  uint64_t frame = 0;
  struct gnttab_setup_table setup = {.dom = DOMID_SELF, .nr_frames = 1, .frame_list = (uint64_t)&frame};
  HYPERVISOR_grant_table_op(GNTTABOP_setup_table, &setup, 1);
  set_page(grants, frame * PAGE_SIZE | _PAGE_PRESENT | _PAGE_RW);
  char domid[8];
  xenstore_read("domid", domid, sizeof domid);
  for (char *c = domid; *c; c++) own_domid = (uint16_t)(own_domid * 10 + *c - '0');
  grants[REF].domid = own_domid;
  grants[REF].frame = (uint32_t)mfn_of(frames[0]);
  __asm__ volatile("" ::: "memory");
  grants[REF].flags = GTF_permit_access;
  set_page(window[1], 0);
  measure("grant map and unmap, self", grant, 1);
}

static void user(void) {
  struct mmuext_op op = {.cmd = MMUEXT_NEW_USER_BASEPTR, .arg1_mfn = mfn_of((void *)start_info->pt_base)};
  HYPERVISOR_mmuext_op(&op, 1, 0, DOMID_SELF);
  hypercall2(__HYPERVISOR_stack_switch, FLAT_KERNEL_SS, kernel_stack + sizeof kernel_stack);
  callback(CALLBACKTYPE_syscall, bench_syscall);
  measure("user syscall to kernel and back", user_call, 1);
}

void guest_main(void) {
  if (!strcmp((const char *)start_info->cmd_line, "quick")) warm_up = 0;
  measure("null hypercall (xen_version)", null_hypercall, 1);
  measure("multicall of 32, each", multicall, CALLS);
  events();
  memory();
  faults();
  measure("sched_op yield", yield, 1);
  measure("NEW_BASEPTR (same table)", base_pointer, 1);
  grant_table();
  measure("rdmsr, emulated", read_msr, 1);
  user();
  printf("bench: end\n");
}
