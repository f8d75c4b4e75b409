/* mmu_update, update_va_mapping and mmuext_op as a kernel uses them; what they refuse is selfmap's subject. */
#include "smoke.h"

static volatile char page[PAGE_SIZE] PAGE_ALIGNED;
static volatile char other[PAGE_SIZE] PAGE_ALIGNED;

static long ext(uint32_t cmd, uint64_t arg1, uint64_t arg2) {
  struct mmuext_op op = {.cmd = cmd, .arg1_mfn = arg1, .arg2_src_mfn = arg2};
  return HYPERVISOR_mmuext_op(&op, 1, 0, DOMID_SELF);
}

static void updates(void) {
  uint64_t at = entry_address(page, 1), entry = entry_value(page, 1);
  show("the entry has the user bit", (entry & _PAGE_USER) != 0);
  struct mmu_update list[3] = {{at, mfn_of(other) * PAGE_SIZE | 3}, {0xfffffffff000, 0}, {at, entry}};
  unsigned done = 99;
  show("mmu_update of three, the second wrong", HYPERVISOR_mmu_update(list, 3, &done, DOMID_SELF));
  show("done", done);
  other[0] = 'o';
  show("the first took effect", page[0]);
  show("mmu_update back", HYPERVISOR_mmu_update(&list[2], 1, &done, DOMID_SELF));
  show("done", done);
  show("mmu_update of none", HYPERVISOR_mmu_update(list, 0, &done, DOMID_SELF));
  show("done", done);
  show("mmu_update from nowhere", HYPERVISOR_mmu_update(NOWHERE, 1, &done, DOMID_SELF));
  show("mmu_update for domain 0", HYPERVISOR_mmu_update(&list[2], 1, &done, 0));
  show("mmu_update for a domain that isn't", HYPERVISOR_mmu_update(&list[2], 1, &done, 0x7000));
  list[0] = (struct mmu_update){mfn_of(page) * PAGE_SIZE | MMU_MACHPHYS_UPDATE, 12345};
  show("set an m2p entry", HYPERVISOR_mmu_update(list, 1, &done, DOMID_SELF));
  const volatile uint64_t *m2p = (const uint64_t *)MACH2PHYS_VIRT_START;
  show("read it", (long)m2p[mfn_of(page)]);
  list[0].val = m2p[mfn_of(other)] + ((uint64_t)page - (uint64_t)other) / PAGE_SIZE;
  show("set it back", HYPERVISOR_mmu_update(list, 1, &done, DOMID_SELF));
}

static void faults(void) {
  show("unmap", HYPERVISOR_update_va_mapping(page, 0, UVMF_INVLPG));
  show("a read faults", try_touch((void *)page, 0));
  show_hex("error code", fault_error);
  show("the address is right", fault_address == (uint64_t)page);
  show("map read-only", HYPERVISOR_update_va_mapping(page, mfn_of(page) * PAGE_SIZE | 1, UVMF_INVLPG));
  show("a read faults", try_touch((void *)page, 0));
  show("a write faults", try_touch((void *)page, 1));
  show_hex("error code", fault_error);
  show("map writable, flush all", HYPERVISOR_update_va_mapping(page, mfn_of(page) * PAGE_SIZE | 3, UVMF_TLB_FLUSH | UVMF_ALL));
  show("a write faults", try_touch((void *)page, 1));
  uint64_t *table = address_of_mfn(entry_address(page, 1) / PAGE_SIZE);
  show("a write to a table faults", try_touch(table, 1));
  show_hex("error code", fault_error);
  show("a read of Xen's table faults", try_touch((void *)MACH2PHYS_VIRT_START, 0));
  show("a write to it faults", try_touch((void *)MACH2PHYS_VIRT_START, 1));
  show_hex("error code", fault_error);
  show("a read of Xen's text faults", try_touch((void *)0xffff82d040000000, 0));
  show_hex("error code", fault_error);
}

static void extended(void) {
  show("TLB_FLUSH_LOCAL", ext(MMUEXT_TLB_FLUSH_LOCAL, 0, 0));
  show("INVLPG_LOCAL", ext(MMUEXT_INVLPG_LOCAL, (uint64_t)page, 0));
  show("TLB_FLUSH_ALL", ext(MMUEXT_TLB_FLUSH_ALL, 0, 0));
  show("INVLPG_ALL", ext(MMUEXT_INVLPG_ALL, (uint64_t)page, 0));
  uint64_t mask = 1;
  show("TLB_FLUSH_MULTI", ext(MMUEXT_TLB_FLUSH_MULTI, 0, (uint64_t)&mask));
  show("INVLPG_MULTI", ext(MMUEXT_INVLPG_MULTI, (uint64_t)page, (uint64_t)&mask));
  show("TLB_FLUSH_MULTI, mask nowhere", ext(MMUEXT_TLB_FLUSH_MULTI, 0, NOWHERE));
  show("FLUSH_CACHE", ext(MMUEXT_FLUSH_CACHE, 0, 0));
  show("SET_LDT of none", ext(MMUEXT_SET_LDT, 0, 0));
  show("SET_LDT not aligned", ext(MMUEXT_SET_LDT, (uint64_t)page + 8, 1));
  show("SET_LDT of too many", ext(MMUEXT_SET_LDT, (uint64_t)page, 8193));
  other[1] = 'p';
  show("COPY_PAGE", ext(MMUEXT_COPY_PAGE, mfn_of(page), mfn_of(other)));
  show("copied", page[1]);
  show("CLEAR_PAGE", ext(MMUEXT_CLEAR_PAGE, mfn_of(page), 0));
  show("cleared", page[1]);
  show("NEW_BASEPTR, the same", ext(MMUEXT_NEW_BASEPTR, mfn_of((void *)start_info->pt_base), 0));
  show("NEW_BASEPTR of a page", ext(MMUEXT_NEW_BASEPTR, mfn_of(page), 0));
  show("MARK_SUPER", ext(MMUEXT_MARK_SUPER, mfn_of(page), 0));
  show("mmuext_op from nowhere", HYPERVISOR_mmuext_op(NOWHERE, 1, 0, DOMID_SELF));
}

static void tables(void) {
  show("vm_assist", HYPERVISOR_vm_assist(VMASST_CMD_enable, VMASST_TYPE_writable_pagetables));
  volatile uint64_t *entry = address_of_mfn(entry_address(page, 1) / PAGE_SIZE);
  entry += entry_address(page, 1) % PAGE_SIZE / 8;
  uint64_t old = *entry;
  *entry = mfn_of(other) * PAGE_SIZE | 3;
  ext(MMUEXT_INVLPG_LOCAL, (uint64_t)page, 0);
  page[2] = 'q';
  show("a direct write to a table takes effect", other[2]);
  show("and gets the user bit", (*entry & _PAGE_USER) != 0);
  *entry = old;
  ext(MMUEXT_INVLPG_LOCAL, (uint64_t)page, 0);
  uint64_t before = __atomic_exchange_n(entry, 0, __ATOMIC_SEQ_CST);
  show("xchg on a table gives the old entry", (before & 0x000ffffffffff000) == mfn_of(page) * PAGE_SIZE);
  ext(MMUEXT_INVLPG_LOCAL, (uint64_t)page, 0);
  show("and a read faults", try_touch((void *)page, 0));
  *entry = old;
  HYPERVISOR_vm_assist(VMASST_CMD_disable, VMASST_TYPE_writable_pagetables);
}

void smoke_mmu(void) {
  updates();
  faults();
  extended();
  tables();
}
