/* A xenstore client for one request at a time (public/io/xs_wire.h), by the ring in the page that start_info names.
 * The port stays masked and is polled. Whatever comes that is no answer is the event of a watch. */
#include "lib.h"

#include <xen/io/xs_wire.h>

/* Events of watches that came before an answer. */
static int events;

static volatile struct xenstore_domain_interface *ring(void) { return address_of_mfn(start_info->store_mfn); }

static void wait(void) {
  event_notify(start_info->store_evtchn);
  event_poll(start_info->store_evtchn);
}

static void send(const void *from, size_t n) {
  volatile struct xenstore_domain_interface *r = ring();
  for (const uint8_t *byte = from; n > 0; n--) {
    while (r->req_prod - r->req_cons == XENSTORE_RING_SIZE) wait();
    r->req[r->req_prod % XENSTORE_RING_SIZE] = *byte++;
    __asm__ volatile("" ::: "memory");
    r->req_prod++;
  }
}

/* The first `keep` of `n` bytes are kept. */
static void receive(void *to, size_t keep, size_t n) {
  volatile struct xenstore_domain_interface *r = ring();
  for (size_t i = 0; i < n; i++) {
    while (r->rsp_prod == r->rsp_cons) wait();
    uint8_t byte = r->rsp[r->rsp_cons % XENSTORE_RING_SIZE];
    if (i < keep) ((uint8_t *)to)[i] = byte;
    __asm__ volatile("" ::: "memory");
    r->rsp_cons++;
  }
}

/* Sends a path with its NUL and `n` bytes after it. The answer is cut to size - 1 bytes and ends with NUL. */
static int request(uint32_t type, const char *path, const char *rest, size_t n, char *answer, size_t size) {
  size_t path_size = strlen(path) + 1;
  struct xsd_sockmsg message = {.type = type, .req_id = 1, .len = (uint32_t)(path_size + n)};
  send(&message, sizeof message);
  send(path, path_size);
  send(rest, n);
  event_notify(start_info->store_evtchn);
  for (;;) {
    receive(&message, sizeof message, sizeof message);
    if (message.type != XS_WATCH_EVENT) break;
    events++;
    receive(0, 0, message.len);
  }
  size_t keep = message.len < size - 1 ? message.len : size - 1;
  receive(answer, keep, message.len);
  answer[keep] = 0;
  event_notify(start_info->store_evtchn);
  return message.type == type ? (int)message.len : -1;
}

int xenstore_read(const char *path, char *value, size_t size) { return request(XS_READ, path, 0, 0, value, size); }

int xenstore_directory(const char *path, char *names, size_t size) {
  return request(XS_DIRECTORY, path, 0, 0, names, size);
}

int xenstore_write(const char *path, const char *value) {
  char answer[4];
  return request(XS_WRITE, path, value, strlen(value), answer, sizeof answer) < 0 ? -1 : 0;
}

int xenstore_watch(const char *path) {
  char answer[4];
  return request(XS_WATCH, path, path, strlen(path) + 1, answer, sizeof answer) < 0 ? -1 : 0;
}

int xenstore_changed(void) {
  struct xsd_sockmsg message;
  for (; ring()->rsp_cons != ring()->rsp_prod; events++) {
    receive(&message, sizeof message, sizeof message);
    receive(0, 0, message.len);
  }
  int any = events > 0;
  events = 0;
  return any;
}

void xenstore_wait(void) {
  while (!xenstore_changed()) event_poll(start_info->store_evtchn);
}
