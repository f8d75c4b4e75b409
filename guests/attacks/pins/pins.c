/* pins: pins and unpins in every wrong order: twice, at two levels, what is in use at another level, what is the base pointer,
 * what was given back; loads base pointers that are no level-4 tables; makes tables that hold each other. A broken hypervisor
 * counts wrong: a table loses its type while a processor still walks it, or a frame is freed while it is a table. */
#define NAME "pins"
#include "../attack.h"

static volatile uint64_t tables[4][512] PAGE_ALIGNED; /* levels 1 to 4 */
static volatile uint64_t ring[2][512] PAGE_ALIGNED;
static volatile uint64_t plain[512] PAGE_ALIGNED;

#define PIN(level) (MMUEXT_PIN_L1_TABLE + (level) - 1)

static uint64_t of(int level) { return mfn_of(tables[level - 1]); }

static void hide(volatile uint64_t *page) { set_page(page, frame(mfn_of(page), RO)); }

static long free_frame(uint64_t mfn) {
  uint64_t list[1] = {mfn};
  struct xen_memory_reservation r = {.extent_start = (uint64_t)list, .nr_extents = 1, .domid = DOMID_SELF};
  return HYPERVISOR_memory_op(XENMEM_decrease_reservation, &r);
}

/* Xen changes entries when a table is pinned, so they are written anew after that. */
static void fill(void) {
  for (int level = 1; level <= 4; level++) set_page(tables[level - 1], frame(of(level), RW));
  tables[0][3] = frame(mfn_of(plain), RW);
  for (int level = 2; level <= 4; level++) tables[level - 1][3] = frame(of(level - 1), RW | _PAGE_USER);
  for (int level = 1; level <= 4; level++) hide(tables[level - 1]);
}

static void orders(void) {
  fill();
  for (int level = 1; level <= 4; level++)
    for (int as = 1; as <= 4; as++) {
      if (as == level) continue;
      long result = ext(PIN(as), of(level));
      printf(NAME ": pin level %d as %d: %ld\n", level, as, result);
      if (result == 0) ext(MMUEXT_UNPIN_TABLE, of(level));
      fill();
    }
  show("pin the level-4 table", ext(PIN(4), of(4)));
  show("pin it twice", ext(PIN(4), of(4)));
  for (int level = 1; level <= 3; level++) show("unpin one below that isn't pinned", ext(MMUEXT_UNPIN_TABLE, of(level)));
  show("pin the level-2 table below", ext(PIN(2), of(2)));
  show("pin it as level 3", ext(PIN(3), of(2)));
  show("unpin the level-4 table", ext(MMUEXT_UNPIN_TABLE, of(4)));
  show("unpin it twice", ext(MMUEXT_UNPIN_TABLE, of(4)));
  show("pin the level-3 table as level 4", ext(PIN(4), of(3)));
  show("the level-1 table is still one", set_page(tables[0], frame(of(1), RW)));
  show("unpin the level-2 table", ext(MMUEXT_UNPIN_TABLE, of(2)));
  show("unpin it twice", ext(MMUEXT_UNPIN_TABLE, of(2)));
  show("now the level-1 table is none", set_page(tables[0], frame(of(1), RW)));
  hide(tables[0]);
}

static void base(void) {
  uint64_t l4 = mfn_of((void *)start_info->pt_base);
  show("base pointer to a level-1 table", ext(MMUEXT_NEW_BASEPTR, of(1)));
  show("base pointer to a level-3 table in use", ext(MMUEXT_NEW_BASEPTR, table_of(plain, 3)));
  show("base pointer to an own page", ext(MMUEXT_NEW_BASEPTR, mfn_of(plain)));
  show("base pointer 0", ext(MMUEXT_NEW_BASEPTR, 0));
  show("base pointer -1", ext(MMUEXT_NEW_BASEPTR, -1));
  show("user base pointer to a level-1 table", ext(MMUEXT_NEW_USER_BASEPTR, of(1)));
  show("user base pointer to the kernel's", ext(MMUEXT_NEW_USER_BASEPTR, l4));
  show("user base pointer 0", ext(MMUEXT_NEW_USER_BASEPTR, 0));
  show("unpin the table in use", ext(MMUEXT_UNPIN_TABLE, l4));
  show("unpin it twice", ext(MMUEXT_UNPIN_TABLE, l4));
  show("map it writable", set_page(plain, frame(l4, RW)));
  show("pin it as level 3", ext(PIN(3), l4));
  show("pin it again", ext(PIN(4), l4));
  /* The user's table is held by that alone, then let go. */
  show("user base pointer to the spare table", ext(MMUEXT_NEW_USER_BASEPTR, of(4)));
  show("map the spare table writable", set_page(tables[3], frame(of(4), RW)));
  show("user base pointer to the kernel's", ext(MMUEXT_NEW_USER_BASEPTR, l4));
  show("map the spare table writable then", set_page(tables[3], frame(of(4), RW)));
  hide(tables[3]);
}

static void rings(void) {
  uint64_t a = mfn_of(ring[0]), b = mfn_of(ring[1]);
  ring[0][0] = frame(b, RO | _PAGE_USER);
  ring[1][0] = frame(a, RO | _PAGE_USER);
  hide(ring[0]);
  hide(ring[1]);
  for (int level = 2; level <= 4; level++) {
    show("pin one of two tables that hold each other", ext(PIN(level), a));
    show("the other", ext(PIN(level), b));
    ext(MMUEXT_UNPIN_TABLE, a);
    ext(MMUEXT_UNPIN_TABLE, b);
  }
  set_page(ring[0], frame(a, RW));
  ring[0][0] = frame(a, RO | _PAGE_USER);
  hide(ring[0]);
  show("pin one that holds itself, level 2", ext(PIN(2), a));
  show("unpin it", ext(MMUEXT_UNPIN_TABLE, a));
  set_page(ring[0], frame(a, RW));
  ring[0][0] = frame(a, RW | _PAGE_USER);
  hide(ring[0]);
  show("pin one that holds itself, writable", ext(PIN(2), a));
  set_page(ring[0], frame(a, RW));
  set_page(ring[1], frame(b, RW));
  ring[0][0] = ring[1][0] = 0;
  hide(ring[0]);
  hide(ring[1]);
  show("pin two empty tables, level 2", ext(PIN(2), a));
  show("the other", ext(PIN(2), b));
  show("the first holds the second", update(frame(a, 0), frame(b, RO | _PAGE_USER)));
  show("the second holds the first", update(frame(b, 0), frame(a, RO | _PAGE_USER)));
  show("the second holds itself", update(frame(b, 8), frame(b, RO | _PAGE_USER)));
  show("unpin the second", ext(MMUEXT_UNPIN_TABLE, b));
  show("map it writable", set_page(ring[1], frame(b, RW)));
  show("unpin the first", ext(MMUEXT_UNPIN_TABLE, a));
  show("map the second writable then", set_page(ring[1], frame(b, RW)));
  show("map the first writable then", set_page(ring[0], frame(a, RW)));
}

static void freed(void) {
  uint64_t l4 = mfn_of((void *)start_info->pt_base);
  show("pin the level-1 table", ext(PIN(1), of(1)));
  show("give it back", free_frame(of(1)));
  show("pin it again", ext(PIN(1), of(1)));
  show("unpin it", ext(MMUEXT_UNPIN_TABLE, of(1)));
  show("give it back twice", free_frame(of(1)));
  show("unmap it", set_page(tables[0], 0));
  show("pin it when it is gone", ext(PIN(1), of(1)));
  show("give the table in use back", free_frame(l4));
  show("use it", set_page(plain, frame(mfn_of(plain), RW)));
  show("unpin it", ext(MMUEXT_UNPIN_TABLE, l4));
  show("use it still", set_page(plain, frame(mfn_of(plain), RW)));
  show("shared_info as a table", ext(PIN(1), start_info->shared_info / PAGE_SIZE));
  show("give shared_info back", free_frame(start_info->shared_info / PAGE_SIZE));
}

void guest_main(void) {
  orders();
  base();
  rings();
  freed();
  printf(NAME ": done\n");
}
