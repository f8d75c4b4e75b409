/* Frames and page tables: the pfn-to-mfn list that the builder left, the machine-to-physical table that Xen shows, and
 * the tables of the initial mapping, which lie in that mapping, read-only. */
#include "lib.h"

extern char VIRT_BASE[]; /* the linker script's */

static const uint64_t *const machine_to_phys = (const uint64_t *)MACH2PHYS_VIRT_START;

uint64_t mfn_of(const volatile void *address) {
  const uint64_t *list = (const uint64_t *)start_info->mfn_list;
  return list[((uint64_t)address - (uint64_t)VIRT_BASE) / PAGE_SIZE];
}

void *address_of_mfn(uint64_t mfn) { return VIRT_BASE + machine_to_phys[mfn] * PAGE_SIZE; }

uint64_t entry_address(const volatile void *address, int level) {
  uint64_t mfn = mfn_of((void *)start_info->pt_base);
  for (int at = 4;; at--) {
    uint64_t slot = (uint64_t)address >> (3 + 9 * at) & 511;
    if (at == level) return mfn * PAGE_SIZE + slot * 8;
    mfn = (((uint64_t *)address_of_mfn(mfn))[slot] & 0x000ffffffffff000) / PAGE_SIZE;
  }
}

uint64_t entry_value(const volatile void *address, int level) {
  uint64_t at = entry_address(address, level);
  return ((uint64_t *)address_of_mfn(at / PAGE_SIZE))[at % PAGE_SIZE / 8];
}

long set_page(const volatile void *address, uint64_t entry) {
  return HYPERVISOR_update_va_mapping(address, entry, UVMF_INVLPG);
}
