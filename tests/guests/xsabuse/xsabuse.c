/* xsabuse: does to xenstored and the console daemon what a guest must not: asks for more nodes, watches and transactions
 * than it may have, sends requests of nonsense and one that is too long, moves ring indexes to nowhere, and storms both
 * with events for ever. A broken daemon would crash, hang, grow, or stop serving the neighbours. */
#include <lib.h>

#include <xen/io/console.h>
#include <xen/io/xs_wire.h>

static volatile struct xenstore_domain_interface *ring;
static unsigned accepted, refused;

static void kick(void) { event_notify(start_info->store_evtchn); }

static void put(const void *from, uint32_t n) {
  for (const uint8_t *byte = from; n > 0; n--) {
    while (ring->req_prod - ring->req_cons == XENSTORE_RING_SIZE) kick();
    ring->req[ring->req_prod % XENSTORE_RING_SIZE] = *byte++;
    __asm__ volatile("" ::: "memory");
    ring->req_prod++;
  }
}

static uint8_t get(void) {
  while (ring->rsp_prod == ring->rsp_cons) kick();
  uint8_t byte = ring->rsp[ring->rsp_cons % XENSTORE_RING_SIZE];
  __asm__ volatile("" ::: "memory");
  ring->rsp_cons++;
  return byte;
}

/* Sends a request and reads up to its reply; watch events on the way are dropped. */
static void ask(uint32_t type, const char *payload, uint32_t len) {
  static uint32_t id;
  struct xsd_sockmsg message = {.type = type, .req_id = ++id, .len = len};
  put(&message, sizeof message);
  put(payload, len);
  kick();
  do {
    for (unsigned i = 0; i < sizeof message; i++) ((uint8_t *)&message)[i] = get();
    for (uint32_t i = 0; i < message.len; i++) get();
  } while (message.type == XS_WATCH_EVENT);
  if (message.type == XS_ERROR) refused++;
  else accepted++;
}

static uint32_t numbered(char *to, const char *head, unsigned n, const char *tail) {
  uint32_t len = 0;
  while (*head) to[len++] = *head++;
  for (unsigned digit = 1000000; digit > 0; digit /= 10) to[len++] = (char)('0' + n / digit % 10);
  to[len++] = 0;
  while (*tail) to[len++] = *tail++;
  return len;
}

static void report(const char *what) {
  printf("xsabuse: %s: %d accepted, %d refused\n", what, accepted, refused);
  console_drain();
  accepted = refused = 0;
}

void guest_main(void) {
  char payload[64];
  ring = address_of_mfn(start_info->store_mfn);
  for (unsigned n = 0; n < 1200; n++) ask(XS_WRITE, payload, numbered(payload, "data/", n, "value"));
  report("nodes");
  for (unsigned n = 0; n < 200; n++) {
    uint32_t len = numbered(payload, "data/", n, "token");
    payload[len++] = 0;
    ask(XS_WATCH, payload, len);
  }
  report("watches");
  for (unsigned n = 0; n < 20; n++) ask(XS_TRANSACTION_START, "", 1);
  report("transactions");
  for (unsigned n = 0; n < 200; n++) ask(n * 7919, payload, n % 40);
  report("nonsense");

  struct xsd_sockmsg message = {.type = XS_WRITE, .req_id = 1, .len = XENSTORE_PAYLOAD_MAX + 1};
  put(&message, sizeof message);
  while (ring->error == 0) kick();
  printf("xsabuse: too long: error %d\n", ring->error);
  ring->connection = XENSTORE_RECONNECT;
  while (ring->connection != XENSTORE_CONNECTED) kick();
  printf("xsabuse: reconnected\n");
  ask(XS_READ, "name", 5);
  report("again");
  ring->req_prod = ring->req_cons + 5000;
  while (ring->error == 0) kick();
  printf("xsabuse: index: error %d\n", ring->error);
  console_drain();

  volatile struct xencons_interface *console = address_of_mfn(start_info->console_domU_mfn);
  console->out_prod = console->out_cons + 0x7fffffff;
  console->in_cons = console->in_prod + 0x12345;
  for (;;) {
    kick();
    event_notify(start_info->console_domU_evtchn);
  }
}
