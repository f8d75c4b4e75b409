/* code: executes a page, then changes what is in it by every route (its own mapping, an alias, a copy, mmu_update, a granted
 * copy, another frame at the same address), and executes it again; does the same with code that lies in a page table, in entries
 * that are not present; gives the page away and executes it still. A broken hypervisor runs what was there before, from
 * instructions that it has translated and not forgotten: in the end those of a frame that belongs to somebody else. */
#define NAME "code"
#include "../attack.h"

#include <xen/grant_table.h>

static volatile uint64_t page[512] PAGE_ALIGNED;
static volatile uint64_t alias[512] PAGE_ALIGNED;
static volatile uint64_t other[512] PAGE_ALIGNED;
static volatile uint64_t table[512] PAGE_ALIGNED;
static volatile struct grant_entry_v1 grants[512] PAGE_ALIGNED;

/* Calls a function; its result, or -1 when it faulted. */
long call_it(volatile void *code);
__asm__(".pushsection .text\n"
        "call_it: push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
        "mov %rsp, call_stack(%rip); xor %eax, %eax; call *%rdi; cltq\n"
        "call_end: pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx; ret\n"
        "call_failed: mov call_stack(%rip), %rsp; mov $-1, %rax; jmp call_end\n"
        ".popsection\n"
        ".pushsection .bss\n.balign 8\ncall_stack: .skip 8\n.popsection");
extern char call_failed[];

static int failed(struct regs *regs) {
  fault_error = regs->error;
  regs->rip = (uint64_t)call_failed;
  return 1;
}

/* mov $n, %eax; ret: eight bytes whose lowest bit is 0, so an entry with them is not present. */
static uint64_t returning(uint32_t n) { return 0xb8 | (uint64_t)n << 8 | 0xc3ul << 40; }

static long remap(volatile void *address, uint64_t entry) { return HYPERVISOR_update_va_mapping(address, entry, UVMF_NONE); }

static void contents(void) {
  uint64_t mfn = mfn_of(page);
  page[0] = returning(1);
  show("as written", call_it(page));
  page[0] = returning(2);
  show("written again", call_it(page));
  ((volatile uint8_t *)page)[1] = 3;
  show("one byte of it", call_it(page));
  set_page(alias, frame(mfn, RW));
  alias[0] = returning(4);
  show("through an alias", call_it(page));
  show("by the alias", call_it(alias));
  page[0] = returning(5);
  show("by the alias, written here", call_it(alias));
  show("mmu_update of the page", update(frame(mfn, 0), returning(6)));
  show("by mmu_update", call_it(page));
  other[0] = returning(7);
  show("copy a page over it", ext2(MMUEXT_COPY_PAGE, mfn, mfn_of(other)));
  show("copied", call_it(page));
  other[0] = returning(8);
  struct gnttab_copy copy = {.source = {.gmfn = mfn_of(other), .domid = DOMID_SELF}, .dest = {.gmfn = mfn, .domid = DOMID_SELF}, .len = 8};
  HYPERVISOR_grant_table_op(GNTTABOP_copy, &copy, 1);
  show("copied as by grants", call_it(page));
  uint32_t port = 0;
  (void)port;
  /* Xen writes a result into the code: the 9 of a done count. */
  struct mmu_update requests[9];
  for (int i = 0; i < 9; i++) requests[i] = (struct mmu_update){.ptr = frame(mfn_of(other), 8), .val = 0};
  HYPERVISOR_mmu_update(requests, 9, (unsigned *)((uint64_t)page + 1), DOMID_SELF);
  show("a result of Xen's in it", call_it(page));
  set_page(alias, frame(mfn_of(alias), RW));
}

static void mappings(void) {
  uint64_t mfn = mfn_of(page);
  page[0] = returning(10);
  other[0] = returning(11);
  show("here", call_it(page));
  show("another frame there", set_page(page, frame(mfn_of(other), RW)));
  show("its code", call_it(page));
  show("not executable", set_page(page, frame(mfn, RW | _PAGE_NX)));
  long result = call_it(page);
  printf(NAME ": then: %ld, error 0x%lx\n", result, fault_error);
  show("not mapped", set_page(page, 0));
  show("then", call_it(page));
  show("as before", set_page(page, frame(mfn, RW)));
  show("then", call_it(page));
  uint64_t frames[1];
  struct gnttab_setup_table setup = {.dom = DOMID_SELF, .nr_frames = 1, .frame_list = (uint64_t)frames};
  HYPERVISOR_grant_table_op(GNTTABOP_setup_table, &setup, 1);
  set_page(grants, frame(frames[0], RW));
  grants[9].frame = (uint32_t)mfn;
  grants[9].domid = own_domid();
  grants[9].flags = GTF_permit_access;
  set_page(alias, 0);
  struct gnttab_map_grant_ref map = {.host_addr = (uint64_t)alias, .flags = GNTMAP_host_map, .ref = 9, .dom = grants[9].domid};
  HYPERVISOR_grant_table_op(GNTTABOP_map_grant_ref, &map, 1);
  show("map a grant of it", map.status);
  show("executed there", call_it(alias));
  alias[0] = returning(12);
  show("written through the grant", call_it(page));
  struct gnttab_unmap_grant_ref unmap = {.host_addr = (uint64_t)alias, .handle = map.handle};
  HYPERVISOR_grant_table_op(GNTTABOP_unmap_grant_ref, &unmap, 1);
  show("unmap the grant", unmap.status);
  set_page(alias, frame(mfn_of(alias), RW));
}

static void in_a_table(void) {
  uint64_t mfn = mfn_of(table);
  table[0] = returning(20);
  show("in a page", call_it(table));
  show("make it read-only, no flush", remap(table, frame(mfn, RO)));
  show("pin it", ext(MMUEXT_PIN_L1_TABLE, mfn));
  show("in a table", call_it(table));
  show("mmu_update of the entry", update(frame(mfn, 0), returning(21)));
  show("changed by that", call_it(table));
  show("enable writable_pagetables", HYPERVISOR_vm_assist(VMASST_CMD_enable, VMASST_TYPE_writable_pagetables));
  table[0] = returning(22);
  show("changed by a direct store", call_it(table));
  /* Code in the table that changes the table, itself included: mov %rax, (%rsi); an entry each. */
  struct gnttab_map_grant_ref map = {.host_addr = frame(mfn, 0), .flags = GNTMAP_host_map | GNTMAP_contains_pte, .ref = 9, .dom = grants[9].domid};
  HYPERVISOR_grant_table_op(GNTTABOP_map_grant_ref, &map, 1);
  show("a grant's entry over it", map.status);
  show("what is executed", call_it(table) == 22);
  struct gnttab_unmap_grant_ref unmap = {.host_addr = frame(mfn, 0), .handle = map.handle};
  HYPERVISOR_grant_table_op(GNTTABOP_unmap_grant_ref, &unmap, 1);
  show("unmap it", unmap.status);
  show("unpin it", ext(MMUEXT_UNPIN_TABLE, mfn));
  remap(table, frame(mfn, RW));
  table[0] = returning(23);
  show("in a page again", call_it(table));
}

static void given_away(void) {
  uint64_t list[1] = {mfn_of(page)};
  struct xen_memory_reservation r = {.extent_start = (uint64_t)list, .nr_extents = 1, .domid = DOMID_SELF};
  page[0] = returning(30);
  show("before", call_it(page));
  show("unmap it, no flush", remap(page, 0));
  show("give it back", HYPERVISOR_memory_op(XENMEM_decrease_reservation, &r));
  show("executed still", call_it(page));
  list[0] = ((uint64_t)page - 0xffffffff80000000ul) / PAGE_SIZE;
  show("get another", HYPERVISOR_memory_op(XENMEM_populate_physmap, &r));
  show("map it", set_page(page, frame(list[0], RW)));
  page[0] = returning(31);
  show("its code", call_it(page));
}

void guest_main(void) {
  trap_bind(TRAP_page_fault, failed);
  trap_bind(TRAP_invalid_op, failed);
  trap_bind(TRAP_gp_fault, failed);
  contents();
  mappings();
  in_a_table();
  given_away();
  printf(NAME ": done\n");
}
