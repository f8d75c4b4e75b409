/* selfmap: tries to get at memory and page tables in ways that it must not, by update_va_mapping, mmu_update and
 * mmuext_op, and prints the errno of each. A broken hypervisor shows a 0 where the transcript has an error. At its end it
 * does the same operations in the way that is allowed, so that a hypervisor that refuses everything shows as well. */
#include <lib.h>

#include <xen/memory.h>

#define RO _PAGE_PRESENT
#define RW (_PAGE_PRESENT | _PAGE_RW)

static char window[PAGE_SIZE] PAGE_ALIGNED; /* the page whose mapping is changed */
static volatile char plain[PAGE_SIZE] PAGE_ALIGNED;
static volatile uint64_t table[512] PAGE_ALIGNED;

static uint64_t frame(uint64_t mfn, uint64_t flags) { return mfn * PAGE_SIZE | flags; }

/* The first frame of another domain, going by the machine-to-physical table; and the first that no domain has. */
static uint64_t foreign, unowned;

static void find_frames(void) {
  const uint64_t *m2p = (const uint64_t *)MACH2PHYS_VIRT_START;
  const uint64_t *p2m = (const uint64_t *)start_info->mfn_list;
  for (uint64_t mfn = 256; !foreign || !unowned; mfn++) {
    int none = m2p[mfn] >= 1 << 20;
    int own = !none && m2p[mfn] < start_info->nr_pages && p2m[m2p[mfn]] == mfn;
    if (none && !unowned) unowned = mfn;
    if (!none && !own && !foreign) foreign = mfn;
  }
}

static void show(const char *what, long result) { printf("selfmap: %s: %ld\n", what, result); }

static void map(const char *what, uint64_t entry) {
  long result = set_page(window, entry);
  show(what, result);
  if (result == 0) set_page(window, frame(mfn_of(window), RW));
}

static void update(const char *what, uint64_t ptr, uint64_t val) {
  struct mmu_update request = {.ptr = ptr, .val = val};
  unsigned done = 0;
  show(what, HYPERVISOR_mmu_update(&request, 1, &done, DOMID_SELF));
}

static void ext(const char *what, uint32_t cmd, uint64_t mfn) {
  struct mmuext_op op = {.cmd = cmd, .arg1_mfn = mfn};
  unsigned done = 0;
  show(what, HYPERVISOR_mmuext_op(&op, 1, &done, DOMID_SELF));
}

static void mapping(void) {
  uint64_t l1 = entry_address(window, 1) / PAGE_SIZE;
  uint64_t l4 = entry_address(window, 4) / PAGE_SIZE;
  long last = HYPERVISOR_memory_op(XENMEM_maximum_ram_page, 0);
  map("map another domain's frame read-only", frame(foreign, RO));
  map("map another domain's frame writable", frame(foreign, RW));
  map("map a frame that no domain has", frame(unowned, RW));
  map("map a frame past the end of memory", frame((uint64_t)last + 0x1000, RW));
  map("map the own L1 table writable", frame(l1, RW));
  map("map the own L4 table writable", frame(l4, RW));
  map("map the own L1 table read-only", frame(l1, RO));
  map("map with a software bit, bit 52", frame(mfn_of(plain), RW) | 1ul << 52);
  map("map global", frame(mfn_of(plain), RW | _PAGE_GLOBAL));
  show("map at an address of Xen's", HYPERVISOR_update_va_mapping(MACH2PHYS_VIRT_START, frame(mfn_of(plain), RW), 0));
  show("map at an address without a table", HYPERVISOR_update_va_mapping(0x123456789000, frame(mfn_of(plain), RW), 0));
  show("map with a flush type that isn't one", HYPERVISOR_update_va_mapping(window, entry_value(window, 1), 3));
}

static void updating(void) {
  uint64_t own = frame(mfn_of(plain), RW);
  update("update an entry to another domain's frame", entry_address(window, 1), frame(foreign, RW));
  update("update an entry to the own L1 writable", entry_address(window, 1), frame(entry_address(window, 1) / PAGE_SIZE, RW));
  update("update the contents of an own page that is no table", frame(mfn_of(plain), 0), own);
  update("update another domain's frame as a table", frame(foreign, 0), own);
  update("update a table beyond memory", 0xfffffffff000, own);
  update("update without translation", entry_address(window, 1) | MMU_PT_UPDATE_NO_TRANSLATE, own);
  set_page(window, frame(mfn_of(window), RW));
  update("update an L2 entry to a writable page", entry_address(window, 2) + 8 * 256, frame(mfn_of(window), RW));
  update("update an L2 entry to a superpage", entry_address(window, 2) + 8 * 256, frame(0, RW | _PAGE_PSE));
  update("update an L2 entry to an L3 table", entry_address(window, 2) + 8 * 256, frame(entry_address(window, 3) / PAGE_SIZE, RW));
  update("update an L4 entry of Xen's", frame(entry_address(window, 4) / PAGE_SIZE, 0) + 8 * 260, 0);
  update("update an L4 entry to the L4 itself, writable", frame(entry_address(window, 4) / PAGE_SIZE, 0) + 8 * 300,
         frame(entry_address(window, 4) / PAGE_SIZE, RW));
  update("set the m2p entry of another domain's frame", frame(foreign, MMU_MACHPHYS_UPDATE), 1);
}

static void pinning(void) {
  uint64_t mfn = mfn_of(table);
  ext("pin a writable page as L1", MMUEXT_PIN_L1_TABLE, mfn);
  ext("pin another domain's frame", MMUEXT_PIN_L1_TABLE, foreign);
  ext("pin a frame past the end of memory", MMUEXT_PIN_L1_TABLE, 0xfffffffff);
  ext("pin the own L4 as L1", MMUEXT_PIN_L1_TABLE, entry_address(window, 4) / PAGE_SIZE);
  for (int i = 0; i < 512; i++) table[i] = 0x8123456789abcdef;
  set_page(table, frame(mfn, RO));
  ext("pin nonsense as L1", MMUEXT_PIN_L1_TABLE, mfn);
  ext("pin nonsense as L2", MMUEXT_PIN_L2_TABLE, mfn);
  ext("pin nonsense as L4", MMUEXT_PIN_L4_TABLE, mfn);
  ext("load nonsense as base", MMUEXT_NEW_BASEPTR, mfn);
  ext("unpin what isn't pinned", MMUEXT_UNPIN_TABLE, mfn);
  ext("a command that isn't one", 77, mfn);
  set_page(table, frame(mfn, RW));
  memset((void *)table, 0, sizeof table);
  table[0] = frame(foreign, RO);
  set_page(table, frame(mfn, RO));
  ext("pin an L1 with another domain's frame", MMUEXT_PIN_L1_TABLE, mfn);
  set_page(table, frame(mfn, RW));
  table[0] = frame(mfn, RW);
  set_page(table, frame(mfn, RO));
  ext("pin an L1 that maps itself writable", MMUEXT_PIN_L1_TABLE, mfn);
}

static void allowed(void) {
  uint64_t mfn = mfn_of(table);
  set_page(table, frame(mfn, RW));
  memset((void *)table, 0, sizeof table);
  table[1] = frame(mfn_of(plain), RW);
  table[2] = frame(mfn, RO);
  set_page(table, frame(mfn, RO));
  ext("pin a good L1", MMUEXT_PIN_L1_TABLE, mfn);
  ext("pin it again", MMUEXT_PIN_L1_TABLE, mfn);
  ext("pin it as L2", MMUEXT_PIN_L2_TABLE, mfn);
  show("map it writable while pinned", set_page(table, frame(mfn, RW)));
  update("update an entry of it", frame(mfn, 0) + 24, frame(mfn_of(window), RW));
  show("the entry is there", (table[3] & ~0xffful) == frame(mfn_of(window), 0));
  update("update it in place, keeping A and D", frame(mfn, MMU_PT_UPDATE_PRESERVE_AD) + 24, frame(mfn_of(plain), RO));
  update("hook it up in the L2", entry_address(window, 2) + 8 * 256, frame(mfn, RW | _PAGE_USER));
  volatile char *there = (char *)((uint64_t)window & ~0x1ffffful) + 256 * 0x200000ul;
  if (entry_address(there, 2) == entry_address(window, 2) + 8 * 256) {
    plain[0] = 'x';
    show("read through it", there[PAGE_SIZE]);
  }
  update("unhook it", entry_address(window, 2) + 8 * 256, 0);
  ext("unpin it", MMUEXT_UNPIN_TABLE, mfn);
  ext("unpin it again", MMUEXT_UNPIN_TABLE, mfn);
  show("map it writable again", set_page(table, frame(mfn, RW)));
  table[0] = 77;
  show("write to it and read", (long)table[0]);
}

void guest_main(void) {
  find_frames();
  mapping();
  updating();
  pinning();
  allowed();
  printf("selfmap: done\n");
}
