/* A network frontend (public/io/netif.h): frames of up to a page, each in one slot. All pages are granted once: a page to send
 * from belongs to the backend until its response, a page to receive into from its request to its response.
 * Left out: scatter-gather, segmentation, several queues. */
#include "net.h"

#include <xen/io/netif.h>

#define SLOTS 256

union tx_entry {
  struct netif_tx_request request;
  struct netif_tx_response response;
};
union rx_entry {
  struct netif_rx_request request;
  struct netif_rx_response response;
};

static volatile uint8_t tx_ring_page[PAGE_SIZE] PAGE_ALIGNED, rx_ring_page[PAGE_SIZE] PAGE_ALIGNED;
static uint8_t tx_pages[SLOTS][PAGE_SIZE] PAGE_ALIGNED, rx_pages[SLOTS][PAGE_SIZE] PAGE_ALIGNED;
static uint32_t tx_refs[SLOTS], rx_refs[SLOTS];
static uint16_t tx_idle[SLOTS];
static uint32_t tx_idle_count;
static struct front_ring tx, rx;

struct frontend net_interface;
uint8_t net_mac[6];

static void offer(uint32_t id) {
  volatile struct netif_rx_request *r = ring_request(&rx);
  r->id = (uint16_t)id;
  r->gref = rx_refs[id];
}

static uint8_t hex(char c) { return (uint8_t)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10); }

int net_connect(void) {
  struct frontend *f = &net_interface;
  if (!frontend_find(f, "vif")) return 0;
  char path[64], mac[20];
  snprintf(path, sizeof path, "%s/mac", f->front);
  if (xenstore_read(path, mac, sizeof mac) != 17) return 0;
  for (int i = 0; i < 6; i++) net_mac[i] = (uint8_t)(hex(mac[i * 3]) << 4 | hex(mac[i * 3 + 1]));
  frontend_await(f, 1u << XenbusStateInitWait);
  ring_init(&tx, tx_ring_page, PAGE_SIZE, sizeof(union tx_entry));
  ring_init(&rx, rx_ring_page, PAGE_SIZE, sizeof(union rx_entry));
  for (uint32_t i = 0; i < SLOTS; i++) {
    tx_refs[i] = grant(f->domid, tx_pages[i], 1);
    rx_refs[i] = grant(f->domid, rx_pages[i], 0);
    tx_idle[tx_idle_count++] = (uint16_t)i;
    offer(i);
  }
  ring_show(&rx);
  frontend_make_port(f);
  frontend_write(f, "tx-ring-ref", grant(f->domid, tx_ring_page, 0));
  frontend_write(f, "rx-ring-ref", grant(f->domid, rx_ring_page, 0));
  frontend_write(f, "event-channel", f->port);
  frontend_write(f, "request-rx-copy", 1);
  frontend_write(f, "feature-rx-notify", 1);
  frontend_write(f, "state", XenbusStateConnected);
  return frontend_connected(f);
}

uint8_t *net_page(void) { return tx_idle_count > 0 ? tx_pages[tx_idle[tx_idle_count - 1]] : 0; }

void net_send(uint32_t size, int blank) {
  uint16_t id = tx_idle[--tx_idle_count];
  volatile struct netif_tx_request *r = ring_request(&tx);
  r->gref = tx_refs[id];
  r->offset = 0;
  r->flags = blank ? NETTXF_csum_blank | NETTXF_data_validated : 0;
  r->id = id;
  r->size = (uint16_t)size;
}

void net_flush(void) {
  if (ring_show(&tx)) event_notify(net_interface.port);
}

/* The response's page goes back to the backend at once, so it is read before that. */
static void received(volatile struct netif_rx_response *r) {
  uint16_t id = r->id, offset = r->offset, flags = r->flags;
  int16_t status = r->status;
  if (id >= SLOTS) return;
  if (status > 0 && (uint32_t)offset + (uint32_t)status <= PAGE_SIZE)
    net_receive(rx_pages[id] + offset, (uint32_t)status, flags & (NETRXF_data_validated | NETRXF_csum_blank));
  offer(id);
}

int net_poll(void) {
  int any = 0;
  volatile void *r;
  for (; (r = ring_response(&tx)) != 0; any = 1) {
    uint16_t id = ((volatile struct netif_tx_response *)r)->id;
    if (id < SLOTS && tx_idle_count < SLOTS) tx_idle[tx_idle_count++] = id;
  }
  for (; (r = ring_response(&rx)) != 0; any = 1) received(r);
  /* What was received may have been answered. */
  int notify = ring_show(&rx);
  if (ring_show(&tx) || notify) event_notify(net_interface.port);
  return any;
}

void net_sleep(uint64_t until) {
  const uint32_t ports[] = {net_interface.port, start_info->store_evtchn};
  /* Both are asked: either may have the next event. */
  int waiting = ring_ask(&tx);
  if (!ring_ask(&rx) && !waiting) event_poll_any(ports, 2, until);
}
