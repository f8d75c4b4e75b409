/* counts: numbers of elements, sizes and orders at and past every edge: 2^31, 2^32, 2^64, with lists that end at a page that is
 * not mapped; calls that look like continuations of ones that were never begun; lists that change themselves while they are
 * carried out; hypercall numbers past the table. A broken hypervisor multiplies and wraps, runs past the list, counts for hours,
 * or believes a continuation's progress. */
#define NAME "counts"
#include "../attack.h"

#include <xen/grant_table.h>
#include <xen/physdev.h>
#include <xen/sched.h>
#include <xen/vcpu.h>
#include <xen/version.h>

static char area[2 * PAGE_SIZE] PAGE_ALIGNED; /* the second page is not mapped */
static volatile uint64_t window[512] PAGE_ALIGNED;

/* Where a list of so many bytes must begin to end with the mapped page. */
#define LAST(bytes) ((void *)(area + PAGE_SIZE - (bytes)))

static const uint64_t numbers[] = {0,          1,          2,          3,          1000,      0x7fffffff, 0x80000000,
                                   0x80000001, 0x80000002, 0xffffffff, 1ul << 32,  1ul << 32 | 1, 1ul << 60, 1ul << 63, -1ul};
#define EACH(n) for (const uint64_t *n = numbers; n < numbers + sizeof numbers / sizeof *numbers; n++)

static void batches(void) {
  struct mmu_update *updates = LAST(2 * sizeof *updates);
  updates[0] = updates[1] = (struct mmu_update){.ptr = entry_address(window, 1), .val = frame(mfn_of(window), RW)};
  EACH(n) {
    unsigned done = 7;
    long result = HYPERVISOR_mmu_update(updates, *n, &done, DOMID_SELF);
    printf(NAME ": mmu_update of 0x%lx: %ld, done %u\n", *n, result, done);
  }
  struct mmuext_op *ops = LAST(2 * sizeof *ops);
  ops[0] = ops[1] = (struct mmuext_op){.cmd = MMUEXT_TLB_FLUSH_LOCAL};
  EACH(n) {
    unsigned done = 7;
    long result = HYPERVISOR_mmuext_op(ops, *n, &done, DOMID_SELF);
    printf(NAME ": mmuext_op of 0x%lx: %ld, done %u\n", *n, result, done);
  }
  EACH(n) {
    struct multicall_entry *list = LAST(2 * sizeof *list);
    list[0] = list[1] = (struct multicall_entry){.op = __HYPERVISOR_xen_version, .result = 5, .args = {99}};
    long result = hypercall2(__HYPERVISOR_multicall, list, *n);
    printf(NAME ": multicall of 0x%lx: %ld, results %ld %ld\n", *n, result, (long)list[0].result, (long)list[1].result);
  }
  EACH(n) {
    struct gnttab_unmap_grant_ref *list = LAST(2 * sizeof *list);
    list[0] = list[1] = (struct gnttab_unmap_grant_ref){.handle = 77777, .status = 1};
    long result = HYPERVISOR_grant_table_op(GNTTABOP_unmap_grant_ref, list, *n);
    printf(NAME ": grant unmap of 0x%lx: %ld, status %d %d\n", *n, result, list[0].status, list[1].status);
  }
  EACH(n) {
    uint64_t *list = LAST(8);
    *list = mfn_of(window);
    printf(NAME ": set_gdt of 0x%lx: %ld\n", *n, hypercall2(__HYPERVISOR_set_gdt, list, *n));
  }
  struct trap_info *traps = LAST(2 * sizeof *traps);
  traps[0] = traps[1] = (struct trap_info){.vector = 200, .cs = FLAT_KERNEL_CS, .address = (uint64_t)area};
  show("set_trap_table without an end", HYPERVISOR_set_trap_table(traps));
}

/* A batch whose end was put off leaves only its result behind: one can be made up. */
static void made_up(void) {
  static const uint32_t results[] = {0, 1, -1u, -22u, -4095u, -4096u, 0xffff0000, 0xfffeffff, 0x7fffffff, 0x80000000};
  printf(NAME ": results made up:");
  for (unsigned i = 0; i < sizeof results / sizeof *results; i++)
    printf(" %ld/%ld", HYPERVISOR_mmu_update(0, 0x80000000, 0, results[i]), HYPERVISOR_mmuext_op(0, 0x80000000, 0, results[i]));
  printf("\n");
}

static void extents(void) {
  static const uint32_t orders[] = {0, 1, 9, 10, 18, 31, 32, 63, 64, 0x80000000, 0xffffffff};
  static const uint32_t commands[] = {XENMEM_increase_reservation, XENMEM_decrease_reservation, XENMEM_populate_physmap};
  uint64_t *list = LAST(8);
  for (unsigned c = 0; c < 3; c++) {
    printf(NAME ": memory_op %u, counts:", commands[c]);
    EACH(n) {
      *list = 0;
      struct xen_memory_reservation r = {.extent_start = (uint64_t)list, .nr_extents = *n, .domid = DOMID_SELF};
      printf(" %ld", HYPERVISOR_memory_op(commands[c], &r));
    }
    printf("; orders:");
    for (unsigned o = 0; o < sizeof orders / sizeof *orders; o++) {
      *list = 0;
      struct xen_memory_reservation r = {
          .extent_start = (uint64_t)list, .nr_extents = 1, .extent_order = orders[o], .domid = DOMID_SELF};
      printf(" %ld", HYPERVISOR_memory_op(commands[c], &r));
    }
    /* The command's upper bits say how far a call has come that was interrupted. */
    printf("; continued from:");
    EACH(n) {
      struct xen_memory_reservation r = {.extent_start = (uint64_t)list, .nr_extents = 2, .domid = DOMID_SELF};
      if (*n < 1ul << 48) printf(" %ld", HYPERVISOR_memory_op(commands[c] | *n << 6, &r));
    }
    printf("\n");
  }
  printf(NAME ": other memory_op, continued:");
  for (unsigned c = 2; c < 29; c++)
    if (c != XENMEM_populate_physmap && c != XENMEM_exchange && c != XENMEM_set_memory_map && c != XENMEM_machine_memory_map &&
        c != XENMEM_access_op && c < XENMEM_reserved_device_memory_map)
      printf(" %ld", HYPERVISOR_memory_op(c | 1 << 6, NOT_CANONICAL));
  printf("\n");
}

static void exchanges(void) {
  uint64_t *in = LAST(8), out = 7;
  EACH(n) {
    *in = mfn_of(window);
    struct xen_memory_exchange x = {.in = {.extent_start = (uint64_t)in, .nr_extents = *n, .domid = DOMID_SELF},
                                    .out = {.extent_start = (uint64_t)&out, .nr_extents = *n, .domid = DOMID_SELF}};
    printf(NAME ": exchange of 0x%lx: %ld,", *n, HYPERVISOR_memory_op(XENMEM_exchange, &x));
    x.nr_exchanged = *n - 1;
    printf(" all but one done %ld,", HYPERVISOR_memory_op(XENMEM_exchange, &x));
    x.nr_exchanged = *n + 1;
    printf(" more done %ld,", HYPERVISOR_memory_op(XENMEM_exchange, &x));
    x.nr_exchanged = 0;
    x.in.extent_order = 9;
    printf(" order 9 for order 0 %ld,", HYPERVISOR_memory_op(XENMEM_exchange, &x));
    x.out.nr_extents = *n << 9;
    printf(" split %ld,", HYPERVISOR_memory_op(XENMEM_exchange, &x));
    x.in.extent_order = 64;
    x.out.extent_order = 64;
    printf(" order 64 %ld\n", HYPERVISOR_memory_op(XENMEM_exchange, &x));
  }
}

static void others(void) {
  EACH(n) {
    uint32_t port = 1;
    struct sched_poll poll = {.ports = (uint64_t)&port, .nr_ports = (uint32_t)*n, .timeout = 1};
    struct gnttab_setup_table setup = {.dom = DOMID_SELF, .nr_frames = (uint32_t)*n, .frame_list = (uint64_t)LAST(8)};
    struct gnttab_get_status_frames status = {.dom = DOMID_SELF, .nr_frames = (uint32_t)*n, .frame_list = (uint64_t)LAST(8)};
    struct physdev_set_iobitmap bitmap = {.bitmap = (uint64_t)area, .nr_ports = (uint32_t)*n};
    struct xen_machphys_mfn_list list = {.max_extents = (uint32_t)*n, .extent_start = (uint64_t)LAST(8)};
    struct mmuext_op ldt = {.cmd = MMUEXT_SET_LDT, .arg1_linear_addr = (uint64_t)area, .arg2_nr_ents = (uint32_t)*n};
    long polled = *n == 0 ? 0 : HYPERVISOR_sched_op(SCHEDOP_poll, &poll);
    long set = *n > 1 && *n < 0x7fffffff ? 0 : HYPERVISOR_grant_table_op(GNTTABOP_setup_table, &setup, 1);
    printf(NAME ": 0x%lx: poll %ld, setup_table %ld %d, status frames %ld, iobitmap %ld, m2p list %ld %u, ldt %ld\n", *n, polled, set,
           setup.status, HYPERVISOR_grant_table_op(GNTTABOP_get_status_frames, &status, 1),
           hypercall2(__HYPERVISOR_physdev_op, PHYSDEVOP_set_iobitmap, &bitmap),
           *n > 1000 ? 0 : HYPERVISOR_memory_op(XENMEM_machphys_mfn_list, &list), list.nr_extents,
           HYPERVISOR_mmuext_op(&ldt, 1, 0, DOMID_SELF));
    printf(NAME ": 0x%lx: set_timer_op %ld, vm_assist %ld, console_io %ld, debugreg %ld, segment base %ld\n", *n,
           HYPERVISOR_set_timer_op(*n), HYPERVISOR_vm_assist(VMASST_CMD_disable, *n), HYPERVISOR_console_io(CONSOLEIO_write, *n, area),
           hypercall2(__HYPERVISOR_set_debugreg, *n, -1ul), hypercall2(__HYPERVISOR_set_segment_base, *n, NOT_CANONICAL));
  }
  HYPERVISOR_set_timer_op(0);
  struct mmuext_op ldt = {.cmd = MMUEXT_SET_LDT};
  HYPERVISOR_mmuext_op(&ldt, 1, 0, DOMID_SELF);
  hypercall2(__HYPERVISOR_physdev_op, PHYSDEVOP_set_iobitmap, &(struct physdev_set_iobitmap){0});
}

static long raw(uint64_t number) {
  long result = (long)number;
  __asm__ volatile("syscall" : "+a"(result) : "D"(0), "S"(0), "d"(0) : "rcx", "r11", "memory");
  return result;
}

static void hypercall_numbers(void) {
  printf(NAME ": hypercall numbers:");
  for (uint64_t n = 37; n < 66; n++)
    if (n != __HYPERVISOR_xenpmu_op && n != __HYPERVISOR_dm_op && n != __HYPERVISOR_kexec_op) printf(" %ld", raw(n));
  static const uint64_t far[] = {1000, 0x7fffffff, 0x80000000, 0xffffffff, 1ul << 32, 1ul << 32 | 17, 1ul << 63 | 17, -1ul, -17ul};
  for (unsigned i = 0; i < sizeof far / sizeof *far; i++) printf(" %ld", raw(far[i]));
  printf("\n");
}

/* Lists that are changed by their own entries. */
static void self_changing(void) {
  static struct multicall_entry list[6];
  /* A text is written over the next entry: its number is nonsense then. */
  list[0] = (struct multicall_entry){.op = __HYPERVISOR_xen_version, .args = {XENVER_extraversion, (uint64_t)&list[1].op}};
  list[1] = (struct multicall_entry){.op = __HYPERVISOR_xen_version, .args = {99}};
  /* The result of this one lies where its own result goes. */
  list[2] = (struct multicall_entry){.op = __HYPERVISOR_xen_version, .args = {XENVER_get_features, (uint64_t)&list[2].op}};
  list[3] = (struct multicall_entry){.op = __HYPERVISOR_multicall, .args = {(uint64_t)list, 6}};
  list[4] = (struct multicall_entry){.op = 1ul << 32 | __HYPERVISOR_xen_version};
  /* The page of the list goes away for writing while it is carried out: the result can't be stored. */
  list[5] = (struct multicall_entry){.op = __HYPERVISOR_xen_version, .args = {99}};
  long result = hypercall2(__HYPERVISOR_multicall, list, 6);
  printf(NAME ": a list that changes itself: %ld, results", result);
  for (int i = 0; i < 6; i++) printf(" %ld", i == 0 || i == 2 ? 0 : (long)list[i].result);
  printf("\n");
  struct multicall_entry *page = (struct multicall_entry *)window;
  page[0] = (struct multicall_entry){.op = __HYPERVISOR_update_va_mapping, .args = {(uint64_t)window, frame(mfn_of(window), RO), UVMF_INVLPG}};
  page[1] = (struct multicall_entry){.op = __HYPERVISOR_xen_version, .args = {99}};
  result = hypercall2(__HYPERVISOR_multicall, page, 2);
  printf(NAME ": a list that becomes read-only: %ld, results %ld %ld\n", result, (long)page[0].result, (long)page[1].result);
  set_page(window, frame(mfn_of(window), RW));
  page[0].args[1] = 0;
  result = hypercall2(__HYPERVISOR_multicall, page, 2);
  set_page(window, frame(mfn_of(window), RW));
  printf(NAME ": a list that unmaps itself: %ld, results %ld %ld\n", result, (long)page[0].result, (long)page[1].result);
}

void guest_main(void) {
  set_page(area + PAGE_SIZE, 0);
  batches();
  made_up();
  extents();
  exchanges();
  others();
  hypercall_numbers();
  self_changing();
  printf(NAME ": done\n");
}
