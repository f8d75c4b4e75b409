/* block: a disk frontend (public/io/blkif.h) that measures. It takes what its first disk's backend offers of multi-page rings,
 * persistent grants and indirect segments, and does the jobs of its command line, separated by semicolons, in turn:
 *   op=read|write|verify|check size=BYTES depth=N count=N seed=N rounds=N     (K and M may follow a number)
 * at places of the disk that the seed gives. `verify` writes, flushes, reads back and compares every word; `check` only reads and
 * compares, with what a `verify` of the same seed left. Each round prints
 * "block: OP SIZE bytes, depth N, N requests: N ns each, N MiB/s", behind which stands whatever went wrong; the times are the
 * hypervisor's clock. order=N, indirect=0 and persistent=0 in the first job make less of the offers. From the ABI alone: it
 * runs on real Xen too. `npm run bench -- block` reads what it prints. */
#include <frontend.h>

#include <xen/io/blkif.h>

#define SECTOR 512
#define MAX_ORDER 3
#define MAX_DEPTH 64
#define DATA_PAGES 1024
#define MAX_INDIRECT (PAGE_SIZE / sizeof(struct blkif_request_segment))

union entry {
  struct blkif_request direct;
  struct blkif_request_indirect indirect;
  struct blkif_response response;
};

struct job {
  char op[8];
  uint64_t size, depth, count, seed, rounds;
  uint32_t pages; /* of one request's buffer */
};

static volatile uint8_t ring_pages[PAGE_SIZE << MAX_ORDER] PAGE_ALIGNED;
static uint8_t data[DATA_PAGES][PAGE_SIZE] PAGE_ALIGNED;
static volatile struct blkif_request_segment lists[MAX_DEPTH][MAX_INDIRECT] PAGE_ALIGNED;
static uint32_t data_refs[DATA_PAGES], list_refs[MAX_DEPTH];
static struct front_ring ring;
static struct frontend disk;
static uint64_t sectors;
static uint32_t max_indirect; /* segments; 0: no indirect requests */

/* A request of a job: large ones without indirect segments are several to the backend. */
static struct {
  uint64_t sector;
  uint32_t left; /* parts without an answer */
} requests[MAX_DEPTH];
static uint32_t idle[MAX_DEPTH], idle_count, failed, wrong;

static int connect(const char *options) {
  frontend_await(&disk, 1u << XenbusStateInitWait);
  uint64_t order = frontend_backend_number(&disk, "max-ring-page-order", 0);
  uint64_t wanted = argument_number(options, "order", MAX_ORDER);
  if (order > wanted) order = wanted;
  if (order > MAX_ORDER) order = MAX_ORDER;
  ring_init(&ring, ring_pages, PAGE_SIZE << order, sizeof(union entry));
  for (uint32_t i = 0; i < 1u << order; i++) {
    char name[16];
    snprintf(name, sizeof name, order > 0 ? "ring-ref%u" : "ring-ref", i);
    frontend_write(&disk, name, grant(disk.domid, ring_pages + i * PAGE_SIZE, 0));
  }
  if (order > 0) frontend_write(&disk, "ring-page-order", order);
  frontend_make_port(&disk);
  frontend_write(&disk, "event-channel", disk.port);
  char path[64];
  snprintf(path, sizeof path, "%s/protocol", disk.front);
  xenstore_write(path, "x86_64-abi");
  /* The buffers are the same all the time: a backend that keeps its mappings of them never has to map one again. Linux says
   * whether it does when it is connected, not before. */
  uint64_t persistent = argument_number(options, "persistent", 1);
  frontend_write(&disk, "feature-persistent", persistent);
  frontend_write(&disk, "state", XenbusStateInitialised);
  if (!frontend_connected(&disk)) return 0;
  frontend_write(&disk, "state", XenbusStateConnected);

  persistent = persistent && frontend_backend_number(&disk, "feature-persistent", 0);
  sectors = frontend_backend_number(&disk, "sectors", 0);
  uint64_t indirect = frontend_backend_number(&disk, "feature-max-indirect-segments", 0);
  if (argument_number(options, "indirect", 1) == 0) indirect = 0;
  max_indirect = indirect < MAX_INDIRECT ? (uint32_t)indirect : MAX_INDIRECT;
  for (int i = 0; i < DATA_PAGES; i++) data_refs[i] = grant(disk.domid, data[i], 0);
  for (int i = 0; i < MAX_DEPTH; i++) list_refs[i] = grant(disk.domid, lists[i], 0);
  printf("block: %lu sectors, %u pages of ring, %u indirect segments, grants %s\n", sectors, 1u << order, max_indirect,
         persistent ? "persistent" : "not persistent");
  return 1;
}

/* The segment for up to a page of a buffer; returns its bytes. */
static uint32_t segment(volatile struct blkif_request_segment *to, uint32_t page, uint64_t bytes) {
  if (bytes > PAGE_SIZE) bytes = PAGE_SIZE;
  to->gref = data_refs[page];
  to->first_sect = 0;
  to->last_sect = (uint8_t)(bytes / SECTOR - 1);
  return (uint32_t)bytes;
}

static void send_indirect(const struct job *job, uint8_t operation, uint32_t id) {
  uint32_t page = id * job->pages, n = 0;
  for (uint64_t left = job->size; left > 0; n++) left -= segment(&lists[id][n], page++, left);
  volatile struct blkif_request_indirect *r = ring_request(&ring);
  r->operation = BLKIF_OP_INDIRECT;
  r->indirect_op = operation;
  r->nr_segments = (uint16_t)n;
  r->handle = 0;
  r->id = id;
  r->sector_number = requests[id].sector;
  r->indirect_grefs[0] = list_refs[id];
  requests[id].left = 1;
}

static void send_direct(const struct job *job, uint8_t operation, uint32_t id) {
  uint32_t page = id * job->pages;
  uint64_t sector = requests[id].sector, left = job->size;
  for (requests[id].left = 0; left > 0; requests[id].left++) {
    volatile struct blkif_request *r = ring_request(&ring);
    r->operation = operation;
    r->handle = 0;
    r->id = id;
    r->sector_number = sector;
    uint32_t n = 0;
    for (; left > 0 && n < BLKIF_MAX_SEGMENTS_PER_REQUEST; n++) {
      uint32_t bytes = segment(&r->seg[n], page++, left);
      left -= bytes;
      sector += bytes / SECTOR;
    }
    r->nr_segments = (uint8_t)n;
  }
}

/* What `verify` has in a word of a sector: another at each place, and with each seed. */
static uint32_t word(const struct job *job, uint64_t sector, uint32_t i) {
  return (uint32_t)(sector * 2654435761u + job->seed * 40503u) + i * 97u;
}

static void fill(const struct job *job, uint32_t id) {
  uint32_t *to = (uint32_t *)data[id * job->pages];
  for (uint32_t i = 0; i < job->size / 4; i++) to[i] = word(job, requests[id].sector + i / 128, i % 128);
}

static void check(const struct job *job, uint32_t id) {
  const uint32_t *from = (const uint32_t *)data[id * job->pages];
  for (uint32_t i = 0; i < job->size / 4; i++)
    if (from[i] != word(job, requests[id].sector + i / 128, i % 128)) wrong++;
}

/* Takes all answers that are there, or waits for one. */
static void collect(const struct job *job, int checking) {
  for (int any = 0; !any;) {
    for (volatile struct blkif_response *r; (r = ring_response(&ring)) != 0; any = 1) {
      uint32_t id = (uint32_t)r->id;
      if (r->status != BLKIF_RSP_OKAY) failed++;
      if (id >= MAX_DEPTH || requests[id].left == 0 || --requests[id].left > 0) continue;
      if (checking) check(job, id);
      idle[idle_count++] = id;
    }
    if (!any && !ring_ask(&ring)) event_poll(disk.port);
  }
}

static void begin(const struct job *job) {
  idle_count = 0;
  for (uint32_t id = 0; id < job->depth; id++) idle[idle_count++] = id;
}

/* Carries out all requests of a job, `depth` of them at once; with `pattern` they write it or are compared with it. */
static void pass(const struct job *job, uint8_t operation, int pattern) {
  uint64_t places = sectors * SECTOR / job->size;
  int indirect = job->size > BLKIF_MAX_SEGMENTS_PER_REQUEST * PAGE_SIZE && max_indirect > 0;
  uint32_t parts = indirect ? 1 : (job->pages + BLKIF_MAX_SEGMENTS_PER_REQUEST - 1) / BLKIF_MAX_SEGMENTS_PER_REQUEST;
  begin(job);
  for (uint64_t sent = 0; sent < job->count || idle_count < job->depth;) {
    for (; sent < job->count && idle_count > 0 && ring_room(&ring) >= parts; sent++) {
      uint32_t id = idle[--idle_count];
      requests[id].sector = (job->seed + sent * 7919) % places * (job->size / SECTOR);
      if (pattern && operation == BLKIF_OP_WRITE) fill(job, id);
      if (indirect) send_indirect(job, operation, id);
      else send_direct(job, operation, id);
    }
    if (ring_show(&ring)) event_notify(disk.port);
    collect(job, pattern && operation == BLKIF_OP_READ);
  }
}

static void flush(void) {
  static const struct job one = {.depth = 1};
  if (!frontend_backend_number(&disk, "feature-flush-cache", 0)) return;
  begin(&one);
  volatile struct blkif_request *r = ring_request(&ring);
  r->operation = BLKIF_OP_FLUSH_DISKCACHE;
  r->nr_segments = 0;
  r->handle = 0;
  r->id = idle[--idle_count];
  r->sector_number = 0;
  requests[0].left = 1;
  if (ring_show(&ring)) event_notify(disk.port);
  collect(&one, 0);
}

static void run(const struct job *job) {
  int verifies = strcmp(job->op, "verify") == 0, checks = strcmp(job->op, "check") == 0;
  failed = wrong = 0;
  uint64_t passes = 1, from = system_time();
  if (verifies) {
    passes = 2;
    pass(job, BLKIF_OP_WRITE, 1);
    flush();
  }
  if (strcmp(job->op, "write") == 0) pass(job, BLKIF_OP_WRITE, 0);
  else pass(job, BLKIF_OP_READ, verifies || checks);
  uint64_t ns = system_time() - from, number = job->count * passes;
  if (ns == 0) ns = 1;
  printf("block: %s %lu bytes, depth %lu, %lu requests: %lu ns each, %lu MiB/s", job->op, job->size, job->depth, number,
         ns / number, number * job->size * 1000 / ns * 1000000 >> 20);
  if (failed > 0) printf(", %u FAILED", failed);
  if (wrong > 0) printf(", %u words WRONG", wrong);
  printf("\n");
}

/* What is wrong with a job; 0: nothing. */
static const char *parse(const char *line, struct job *job) {
  if (!argument(line, "op", job->op, sizeof job->op)) snprintf(job->op, sizeof job->op, "read");
  job->size = argument_number(line, "size", PAGE_SIZE);
  job->depth = argument_number(line, "depth", 1);
  job->count = argument_number(line, "count", 1000);
  job->seed = argument_number(line, "seed", 1);
  job->rounds = argument_number(line, "rounds", 1);
  if (strcmp(job->op, "read") && strcmp(job->op, "write") && strcmp(job->op, "verify") && strcmp(job->op, "check"))
    return "op is read, write, verify or check";
  if (job->size == 0 || job->size % SECTOR || job->size > DATA_PAGES * PAGE_SIZE) return "size is sectors, at most 4M";
  job->pages = (uint32_t)((job->size + PAGE_SIZE - 1) / PAGE_SIZE);
  if (job->size > sectors * SECTOR) return "size is more than the disk";
  if (max_indirect > 0 && job->pages > max_indirect) return "size is more than an indirect request takes";
  if (max_indirect == 0 && job->pages > ring.size * BLKIF_MAX_SEGMENTS_PER_REQUEST) return "size is more than the ring takes";
  if (job->depth == 0 || job->depth > MAX_DEPTH || job->depth * job->pages > DATA_PAGES)
    return "depth is 1 to 64, and depth times size at most 4M";
  if (job->count == 0) return "count is at least 1";
  return 0;
}

static void all_jobs(const char *line) {
  for (;;) {
    struct job job;
    const char *mistake = parse(line, &job);
    if (mistake) printf("block: %s\n", mistake);
    for (uint64_t i = 0; !mistake && i < job.rounds; i++) run(&job);
    while (*line && *line != ';') line++;
    if (*line++ == 0) return;
  }
}

void guest_main(void) {
  const char *line = (const char *)start_info->cmd_line;
  grants_init();
  if (!frontend_find(&disk, "vbd")) printf("block: there is no disk\n");
  else if (!connect(line)) printf("block: the disk can't be had\n");
  else all_jobs(line);
  printf("block: end\n");
}
