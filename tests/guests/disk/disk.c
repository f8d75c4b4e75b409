/* disk: writes, reads back and flushes xvda for as long as it has it, and goes on where it was when it is given it again. It
 * remembers what is in each of 1024 blocks and checks all that it reads; a wrong byte is a line that begins with WRONG.
 * Asked by xl shutdown, and without a disk, it says good bye and does nothing more.
 * "flushed N" means that a flush was answered that covered requests 1 to N; tests/harness/disk_guest.ts knows what those wrote. */
#include <frontend.h>

#include <xen/event_channel.h>
#include <xen/io/blkif.h>
#include <xen/sched.h>

#define FRONT "device/vbd/51712"
#define GROUPS 256
#define PAGES 4 /* in a group: 16 KiB that are written or read at once */
#define DEPTH 16
#define BETWEEN_FLUSHES 64

union entry {
  struct blkif_request request;
  struct blkif_response response;
};
_Static_assert(sizeof(union entry) == 112, "blkif entry");

static volatile uint8_t ring_page[PAGE_SIZE] PAGE_ALIGNED;
static struct front_ring ring;
static uint8_t data[DEPTH][PAGES * PAGE_SIZE] PAGE_ALIGNED;
static uint32_t refs[DEPTH][PAGES];

/* The number of the request that wrote each block last; 0: none. */
static uint32_t written[GROUPS][PAGES];
static uint8_t busy[GROUPS];

enum kind { FREE, READ, WRITE, FLUSH };
static struct {
  enum kind kind;
  uint32_t group;
} slots[DEPTH];
static struct frontend disk;
static uint32_t outstanding, number;

static void wrong(const char *what, uint32_t at, uint32_t value) { printf("WRONG %s: %u %u\n", what, at, value); }

/* The backend's state; 0 when there is no disk. */
static int backend_state(void) {
  int size = xenstore_read(FRONT "/backend", disk.back, sizeof disk.back);
  return size > 0 ? frontend_backend_state(&disk) : 0;
}

/* Sleeps until the disk's port is pending, if there is one, but not for long. */
static void doze(void) { event_poll_any(&disk.port, disk.port != 0, system_time() + 2000000); }

static uint32_t word(uint32_t sector, uint32_t by, uint32_t i) {
  if (by == 0) return 0;
  return i == 0 ? by : i == 1 ? sector : by * 2654435761u + sector * 40503u + i * 97u;
}

static void fill(uint32_t *to, uint32_t sector, uint32_t by) {
  for (uint32_t i = 0; i < 128; i++) to[i] = word(sector, by, i);
}

static void check(const uint32_t *from, uint32_t sector, uint32_t by) {
  for (uint32_t i = 0; i < 128; i++)
    if (from[i] != word(sector, by, i)) {
      wrong("word of sector", sector, i);
      return;
    }
}

static void send(uint32_t slot, uint8_t operation, uint32_t group, uint32_t pages) {
  volatile struct blkif_request *r = ring_request(&ring);
  r->operation = operation;
  r->nr_segments = (uint8_t)pages;
  r->handle = 0;
  r->id = slot;
  r->sector_number = group * PAGES * 8;
  for (uint32_t i = 0; i < pages; i++) {
    r->seg[i].gref = refs[slot][i];
    r->seg[i].first_sect = 0;
    r->seg[i].last_sect = 7;
  }
  outstanding++;
  if (ring_show(&ring)) event_notify(disk.port);
}

static void answered(uint32_t slot, int status) {
  if (slot >= DEPTH || slots[slot].kind == FREE) {
    wrong("answer", slot, 0);
    return;
  }
  uint32_t group = slots[slot].group;
  if (status != BLKIF_RSP_OKAY) wrong("status of slot", slot, (uint32_t)-status);
  else if (slots[slot].kind == READ)
    for (uint32_t s = 0; s < PAGES * 8; s++)
      check((uint32_t *)data[slot] + s * 128, group * PAGES * 8 + s, written[group][s / 8]);
  if (slots[slot].kind != FLUSH) busy[group] = 0;
  slots[slot].kind = FREE;
  outstanding--;
}

/* Takes answers until at most `most` requests are under way. */
static void settle(uint32_t most) {
  for (;;) {
    for (volatile struct blkif_response *r; (r = ring_response(&ring)) != 0;) answered((uint32_t)r->id, r->status);
    if (outstanding <= most) return;
    if (!ring_ask(&ring)) doze();
  }
}

static uint32_t free_slot(void) {
  settle(DEPTH - 1);
  uint32_t slot = 0;
  while (slots[slot].kind != FREE) slot++;
  return slot;
}

/* Every third request reads a group anywhere; the others write 1 to 4 blocks of a group that the number gives. */
static void request(void) {
  number++;
  int reads = number % 3 == 2;
  uint32_t group = (reads ? (number * 2654435761u) >> 24 : number * 89) % GROUPS;
  uint32_t pages = reads ? PAGES : 1 + number % PAGES;
  if (busy[group]) settle(0);
  uint32_t slot = free_slot();
  slots[slot].kind = reads ? READ : WRITE;
  slots[slot].group = group;
  busy[group] = 1;
  if (reads) memset(data[slot], 0xee, sizeof data[slot]);
  else
    for (uint32_t s = 0; s < pages * 8; s++) {
      fill((uint32_t *)data[slot] + s * 128, group * PAGES * 8 + s, number);
      written[group][s / 8] = number;
    }
  send(slot, reads ? BLKIF_OP_READ : BLKIF_OP_WRITE, group, pages);
}

static void flush(void) {
  settle(0);
  slots[0].kind = FLUSH;
  send(0, BLKIF_OP_FLUSH_DISKCACHE, 0, 0);
  settle(0);
  printf("flushed %u\n", number);
}

static uint32_t ring_ref;

static void connect(void) {
  ring_init(&ring, ring_page, sizeof ring_page, sizeof(union entry));
  ring_ref = grant(disk.domid, ring_page, 0);
  frontend_make_port(&disk);
  frontend_write(&disk, "ring-ref", ring_ref);
  frontend_write(&disk, "event-channel", disk.port);
  xenstore_write(FRONT "/protocol", "x86_64-abi");
  frontend_write(&disk, "state", XenbusStateInitialised);
  while (backend_state() == XenbusStateInitWait || backend_state() == XenbusStateInitialised) doze();
  frontend_write(&disk, "state", XenbusStateConnected);
}

static void disconnect(void) {
  frontend_write(&disk, "state", XenbusStateClosed);
  /* Until it is gone, or is another one already. */
  while (backend_state() >= XenbusStateConnected) doze();
  struct evtchn_close close = {.port = disk.port};
  HYPERVISOR_event_channel_op(EVTCHNOP_close, &close);
  disk.port = 0;
  /* What the backend holds on to is seen here, and granted anew. */
  if (!grant_end(ring_ref)) wrong("grant still in use", ring_ref, 0);
  for (uint32_t i = 0; i < DEPTH * PAGES; i++) {
    uint32_t *ref = &refs[i / PAGES][i % PAGES];
    if (!grant_end(*ref)) wrong("grant still in use", *ref, i);
    *ref = grant(disk.domid, data[i / PAGES] + i % PAGES * PAGE_SIZE, 0);
  }
}

static void await_disk(void) {
  char text[16];
  doze();
  if (xenstore_read("control/shutdown", text, sizeof text) <= 0) return;
  printf("good bye\n");
  for (;;) doze();
}

void guest_main(void) {
  snprintf(disk.front, sizeof disk.front, FRONT);
  grants_init();
  for (uint32_t i = 0; i < DEPTH * PAGES; i++)
    refs[i / PAGES][i % PAGES] = grant(disk.domid, data[i / PAGES] + i % PAGES * PAGE_SIZE, 0);
  for (;;) {
    while (backend_state() != 2) await_disk();
    connect();
    printf("connected\n");
    while (backend_state() == 4) {
      for (int i = 0; i < BETWEEN_FLUSHES; i++) request();
      flush();
    }
    disconnect();
    printf("disconnected after %u\n", number);
  }
}
