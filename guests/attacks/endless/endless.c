/* endless: work without an end, or as long as the guest likes. The same page of trap table entries, mapped over and over, is
 * given as one table; the same page of requests as one batch; trees of page tables that nobody has checked are loaded into
 * CR3 in turns, so that each is checked and the other undone each time, and a wrong one is refused in its last entry. The
 * neighbour must lose nothing of its share. A broken hypervisor goes over all of it at once. */
#define NAME "endless"
#include "../attack.h"

#define SLOT 300ul
#define AT ((SLOT << 39) | 0xffff000000000000ul)
#define L1_TABLES 24
/* The list page is mapped as often as so many level-1 tables have entries; what follows is not mapped. */
#define LISTS 4

struct tree {
  volatile uint64_t l4[512], l3[512], l2[512], l1[L1_TABLES][512];
} PAGE_ALIGNED;

static struct tree trees[2] PAGE_ALIGNED;
static volatile uint64_t list[512] PAGE_ALIGNED;
static volatile int faults;

static int skip(struct regs *regs) {
  faults++;
  regs->rip += 3;
  return 1;
}

static void set_list(uint64_t even, uint64_t odd) {
  for (int i = 0; i < 512; i += 2) {
    list[i] = even;
    list[i + 1] = odd;
  }
}

static void hide(volatile void *from, unsigned long bytes) {
  for (unsigned long at = 0; at < bytes; at += PAGE_SIZE) {
    volatile char *page = (volatile char *)from + at;
    set_page(page, frame(mfn_of(page), RO));
  }
}

/* Everything that the kernel has, and the list page many times over at AT. */
static void build(struct tree *t) {
  volatile uint64_t *kernel = (volatile uint64_t *)start_info->pt_base;
  for (int i = 0; i < 512; i++) t->l4[i] = i >= 256 && i < 272 ? 0 : kernel[i];
  t->l4[SLOT] = frame(mfn_of(t->l3), RW | _PAGE_USER);
  t->l3[0] = frame(mfn_of(t->l2), RW | _PAGE_USER);
  for (int i = 0; i < L1_TABLES; i++) {
    t->l2[i] = frame(mfn_of(t->l1[i]), RW | _PAGE_USER);
    for (int j = 0; j < 512; j++) t->l1[i][j] = i < LISTS ? frame(mfn_of(list), RO) : 0;
  }
  hide(t, sizeof *t);
}

static void load(uint64_t mfn) {
  __asm__ volatile("mov %0, %%cr3" : : "r"(mfn * PAGE_SIZE) : "memory");
}

static void tables(void) {
  uint64_t first = mfn_of((void *)start_info->pt_base);
  uint64_t l4[2] = {mfn_of(trees[0].l4), mfn_of(trees[1].l4)};
  for (int round = 0; round < 20; round++) load(l4[round & 1]);
  load(first);
  show("trees that nobody had checked, in turns: faults", faults);
  show("one of them is none any more", set_page(trees[0].l2, frame(mfn_of(trees[0].l2), RW)));
  /* Wrong in its last table's last entry. */
  uint64_t last = mfn_of(trees[0].l1[L1_TABLES - 1]);
  set_page(trees[0].l1[L1_TABLES - 1], frame(last, RW));
  trees[0].l1[L1_TABLES - 1][511] = frame(mfn_of(start_info), RW | _PAGE_PSE);
  set_page(trees[0].l1[L1_TABLES - 1], frame(last, RO));
  hide(trees[0].l2, PAGE_SIZE);
  for (int round = 0; round < 20; round++) load(l4[0]);
  show("a tree with a wrong entry: faults", faults);
  set_page(trees[0].l1[L1_TABLES - 1], frame(last, RW));
  trees[0].l1[L1_TABLES - 1][511] = 0;
  set_page(trees[0].l1[L1_TABLES - 1], frame(last, RO));
  show("pin it without that", ext(MMUEXT_PIN_L4_TABLE, l4[0]));
  show("use it", ext(MMUEXT_NEW_BASEPTR, l4[0]));
}

static void lists(void) {
  set_list(200, 0x1000); /* struct trap_info: vector 200, flags and selector 0; an address. */
  show("a trap table of 8 MiB", HYPERVISOR_set_trap_table((void *)AT));
  set_list(MMU_NORMAL_PT_UPDATE | 5, 0);
  show("updates that are none", HYPERVISOR_mmu_update((void *)AT, 0x7fffffff, 0, DOMID_SELF));
  set_list(frame(mfn_of(list), MMU_MACHPHYS_UPDATE), ((const uint64_t *)MACH2PHYS_VIRT_START)[mfn_of(list)]);
  show("updates of the machine-to-physical table", HYPERVISOR_mmu_update((void *)AT, 0x7fffffff, 0, DOMID_SELF));
  set_list(__HYPERVISOR_xen_version, 0);
  show("calls whose results can't be written", hypercall2(__HYPERVISOR_multicall, AT, 0x7fffffff));
}

void guest_main(void) {
  trap_bind(13, skip);
  build(&trees[0]);
  build(&trees[1]);
  tables();
  lists();
  printf(NAME ": done\n");
}
