/* A xenstore client for one request at a time (public/io/xs_wire.h), by the ring in the page that start_info names.
 * The port stays masked and is polled. */
#include "lib.h"

#include <xen/io/xs_wire.h>

static volatile struct xenstore_domain_interface *ring(void) { return address_of_mfn(start_info->store_mfn); }

static void send(const void *from, uint32_t n) {
  volatile struct xenstore_domain_interface *r = ring();
  for (const uint8_t *byte = from; n > 0; n--) {
    while (r->req_prod - r->req_cons == XENSTORE_RING_SIZE) event_poll(start_info->store_evtchn);
    r->req[r->req_prod % XENSTORE_RING_SIZE] = *byte++;
    __asm__ volatile("" ::: "memory");
    r->req_prod++;
  }
}

static void receive(void *to, uint32_t n) {
  volatile struct xenstore_domain_interface *r = ring();
  for (uint8_t *byte = to; n > 0; n--) {
    while (r->rsp_prod == r->rsp_cons) event_poll(start_info->store_evtchn);
    *byte++ = r->rsp[r->rsp_cons % XENSTORE_RING_SIZE];
    __asm__ volatile("" ::: "memory");
    r->rsp_cons++;
  }
}

int xenstore_read(const char *path, char *value, size_t size) {
  struct xsd_sockmsg message = {.type = XS_READ, .req_id = 1, .len = (uint32_t)strlen(path) + 1};
  send(&message, sizeof message);
  send(path, message.len);
  event_notify(start_info->store_evtchn);
  receive(&message, sizeof message);
  uint32_t keep = message.len < size - 1 ? message.len : (uint32_t)size - 1;
  receive(value, keep);
  value[keep] = 0;
  for (char rest; keep < message.len; keep++) receive(&rest, 1);
  event_notify(start_info->store_evtchn);
  return message.type == XS_READ ? (int)message.len : -1;
}
