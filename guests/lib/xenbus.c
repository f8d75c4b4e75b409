/* The frontend's half of the handshake of split drivers (public/io/xenbus.h). The toolstack makes both folders, each with the
 * other's path.
 * 1. The backend writes what it offers, then its state InitWait.
 * 2. The frontend makes its rings and its event channel, writes their references, then its state Initialised.
 * 3. The backend maps and binds them, and becomes Connected; so does the frontend, when it has read what is said only then. */
#include "frontend.h"

#include <xen/event_channel.h>

static int read(const char *folder, const char *name, char *value, size_t size) {
  char path[128];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return xenstore_read(path, value, size);
}

int frontend_find(struct frontend *f, const char *kind) {
  char text[96];
  snprintf(f->front, sizeof f->front, "device/%s", kind);
  if (xenstore_directory(f->front, text, sizeof text) <= 0) return 0;
  snprintf(f->front, sizeof f->front, "device/%s/%s", kind, text);
  if (read(f->front, "backend", f->back, sizeof f->back) <= 0) return 0;
  f->domid = read(f->front, "backend-id", text, sizeof text) > 0 ? (uint16_t)number_of(text) : 0;
  f->port = 0;
  snprintf(text, sizeof text, "%s/state", f->back);
  xenstore_watch(text);
  return 1;
}

int frontend_backend_state(const struct frontend *f) {
  return (int)frontend_backend_number(f, "state", XenbusStateUnknown);
}

int frontend_await(const struct frontend *f, unsigned states) {
  for (;;) {
    int state = frontend_backend_state(f);
    if (states & 1u << state) return state;
    xenstore_wait();
  }
}

int frontend_connected(const struct frontend *f) {
  const unsigned states = 1u << XenbusStateConnected | 1u << XenbusStateClosing | 1u << XenbusStateClosed;
  return frontend_await(f, states) == XenbusStateConnected;
}

uint64_t frontend_backend_number(const struct frontend *f, const char *name, uint64_t otherwise) {
  char value[24];
  return read(f->back, name, value, sizeof value) > 0 ? number_of(value) : otherwise;
}

void frontend_write(const struct frontend *f, const char *name, uint64_t value) {
  char path[96], text[24];
  snprintf(path, sizeof path, "%s/%s", f->front, name);
  snprintf(text, sizeof text, "%lu", value);
  xenstore_write(path, text);
}

void frontend_make_port(struct frontend *f) {
  struct evtchn_alloc_unbound channel = {.dom = DOMID_SELF, .remote_dom = f->domid};
  HYPERVISOR_event_channel_op(EVTCHNOP_alloc_unbound, &channel);
  f->port = channel.port;
}
