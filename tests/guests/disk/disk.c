/* disk: writes, reads back and flushes xvda for as long as it has it, and goes on where it was when it is given it again. It
 * remembers what is in each of 1024 blocks and checks all that it reads; a wrong byte is a line that begins with WRONG.
 * Asked by xl shutdown, and without a disk, it says good bye and does nothing more.
 * "flushed N" means that a flush was answered that covered requests 1 to N; tests/harness/disk_guest.ts knows what those wrote. */
#include <lib.h>

#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/io/blkif.h>
#include <xen/io/ring.h>
#include <xen/io/xs_wire.h>
#include <xen/sched.h>

#define FRONT "device/vbd/51712"
#define GROUPS 256
#define PAGES 4 /* in a group: 16 KiB that are written or read at once */
#define DEPTH 16
#define SLOTS 32 /* in a ring of one page */
#define REF_RING 8
#define REF_DATA 16
#define BETWEEN_FLUSHES 64

union entry {
  struct blkif_request request;
  struct blkif_response response;
};
struct ring {
  struct xen_sring shared;
  union entry entries[SLOTS];
};
_Static_assert(sizeof(union entry) == 112, "blkif entry");

static volatile struct ring ring PAGE_ALIGNED;
static volatile struct grant_entry_v1 grants[512] PAGE_ALIGNED;
static uint8_t data[DEPTH][PAGES * PAGE_SIZE] PAGE_ALIGNED;

/* The number of the request that wrote each block last; 0: none. */
static uint32_t written[GROUPS][PAGES];
static uint8_t busy[GROUPS];

enum kind { FREE, READ, WRITE, FLUSH };
static struct {
  enum kind kind;
  uint32_t group;
} slots[DEPTH];
static uint32_t outstanding, produced, consumed, port, number;

static void barrier(void) { __asm__ volatile("mfence" ::: "memory"); }

static void wrong(const char *what, uint32_t at, uint32_t value) { printf("WRONG %s: %u %u\n", what, at, value); }

/* Xenstore's ring, after the library's client, which only reads. */
static void store_write(const char *path, const char *value) {
  volatile struct xenstore_domain_interface *r = address_of_mfn(start_info->store_mfn);
  uint32_t path_size = (uint32_t)strlen(path) + 1, value_size = (uint32_t)strlen(value);
  uint8_t bytes[128];
  struct xsd_sockmsg message = {.type = XS_WRITE, .req_id = 2, .len = path_size + value_size};
  memcpy(bytes, &message, sizeof message);
  memcpy(bytes + sizeof message, path, path_size);
  memcpy(bytes + sizeof message + path_size, value, value_size);
  /* One request at a time: the ring is empty, and larger than this. */
  for (uint32_t i = 0; i < sizeof message + message.len; i++) r->req[(r->req_prod + i) % XENSTORE_RING_SIZE] = bytes[i];
  barrier();
  r->req_prod += sizeof message + message.len;
  barrier();
  event_notify(start_info->store_evtchn);
  uint32_t wanted = sizeof message;
  for (uint32_t got = 0; got < wanted; got++) {
    while (r->rsp_prod == r->rsp_cons) event_poll(start_info->store_evtchn);
    uint8_t byte = r->rsp[r->rsp_cons % XENSTORE_RING_SIZE];
    r->rsp_cons++;
    if (got < sizeof message) ((uint8_t *)&message)[got] = byte;
    if (got == sizeof message - 1) wanted += message.len;
  }
  if (message.type != XS_WRITE) wrong("answer of xenstore", message.type, 0);
}

static void store_number(const char *path, uint32_t value) {
  char text[12];
  char *at = text + sizeof text - 1;
  *at = 0;
  do *--at = (char)('0' + value % 10);
  while (value /= 10);
  store_write(path, at);
}

/* The backend's state; 0 when there is no disk. */
static int backend_state(void) {
  char path[96], state[8];
  int size = xenstore_read(FRONT "/backend", path, sizeof path - sizeof "/state");
  if (size <= 0) return 0;
  memcpy(path + size, "/state", sizeof "/state");
  return xenstore_read(path, state, sizeof state) > 0 ? state[0] - '0' : 0;
}

/* Sleeps until the disk's port is pending, if there is one, but not for long. */
static void doze(void) {
  struct sched_poll arg = {.ports = (uint64_t)&port, .nr_ports = port != 0, .timeout = system_time() + 2000000};
  HYPERVISOR_sched_op(SCHEDOP_poll, &arg);
  if (port != 0)
    __asm__ volatile("lock btrq %1, %0" : "+m"(shared_info.evtchn_pending[port / 64]) : "r"((uint64_t)port % 64) : "memory");
}

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
  volatile struct blkif_request *r = &ring.entries[produced % SLOTS].request;
  r->operation = operation;
  r->nr_segments = (uint8_t)pages;
  r->handle = 0;
  r->id = slot;
  r->sector_number = group * PAGES * 8;
  for (uint32_t i = 0; i < pages; i++) {
    r->seg[i].gref = REF_DATA + slot * PAGES + i;
    r->seg[i].first_sect = 0;
    r->seg[i].last_sect = 7;
  }
  barrier();
  uint32_t before = produced++;
  ring.shared.req_prod = produced;
  barrier();
  outstanding++;
  if (produced - ring.shared.req_event < produced - before) event_notify(port);
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
    for (; consumed != ring.shared.rsp_prod; consumed++) {
      barrier();
      volatile struct blkif_response *r = &ring.entries[consumed % SLOTS].response;
      answered((uint32_t)r->id, r->status);
    }
    if (outstanding <= most) return;
    ring.shared.rsp_event = consumed + 1;
    barrier();
    if (consumed == ring.shared.rsp_prod) doze();
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

static void grant(uint32_t ref, const volatile void *page) {
  grants[ref].domid = 0;
  grants[ref].frame = (uint32_t)mfn_of(page);
  barrier();
  grants[ref].flags = GTF_permit_access;
}

static void connect(void) {
  memset((void *)&ring, 0, sizeof ring);
  ring.shared.req_event = ring.shared.rsp_event = 1;
  produced = consumed = 0;
  grant(REF_RING, &ring);
  struct evtchn_alloc_unbound channel = {.dom = DOMID_SELF, .remote_dom = 0};
  HYPERVISOR_event_channel_op(EVTCHNOP_alloc_unbound, &channel);
  port = channel.port;
  store_number(FRONT "/ring-ref", REF_RING);
  store_number(FRONT "/event-channel", port);
  store_write(FRONT "/protocol", "x86_64-abi");
  store_number(FRONT "/state", 3);
  while (backend_state() == 2 || backend_state() == 3) doze();
  store_number(FRONT "/state", 4);
}

static void disconnect(void) {
  store_number(FRONT "/state", 6);
  /* Until it is gone, or is another one already. */
  while (backend_state() >= 4) doze();
  struct evtchn_close close = {.port = port};
  HYPERVISOR_event_channel_op(EVTCHNOP_close, &close);
  port = 0;
  for (uint32_t ref = REF_RING; ref < REF_DATA + DEPTH * PAGES; ref++)
    if (grants[ref].flags & (GTF_reading | GTF_writing)) wrong("grant still in use", ref, grants[ref].flags);
  grants[REF_RING].flags = 0;
}

static void await_disk(void) {
  char text[16];
  doze();
  if (xenstore_read("control/shutdown", text, sizeof text) <= 0) return;
  printf("good bye\n");
  for (;;) doze();
}

void guest_main(void) {
  uint64_t frames[1];
  struct gnttab_setup_table setup = {.dom = DOMID_SELF, .nr_frames = 1, .frame_list = (uint64_t)frames};
  HYPERVISOR_grant_table_op(GNTTABOP_setup_table, &setup, 1);
  set_page(grants, frames[0] << 12 | 0x63);
  for (uint32_t i = 0; i < DEPTH * PAGES; i++) grant(REF_DATA + i, data[i / PAGES] + i % PAGES * PAGE_SIZE);
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
