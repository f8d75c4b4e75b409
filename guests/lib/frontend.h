/* What frontends of split drivers have in common: grants (public/grant_table.h), the handshake over xenstore
 * (public/io/xenbus.h), and the front's end of a ring of requests and responses (public/io/ring.h). */
#ifndef XENOLITH_LIB_FRONTEND_H
#define XENOLITH_LIB_FRONTEND_H

#include <xen/io/ring.h>
#include <xen/io/xenbus.h>

#include "lib.h"

/* Orders what is written for the other side, and what is read of it, on either side of a look at its index. */
static inline void barrier(void) { __asm__ volatile("mfence" ::: "memory"); }

/* grants.c: to be called once, before the others. */
void grants_init(void);
/* Lets a domain map the page at an address of the initial mapping, or copy from or to it; the reference, 0 if none is left. */
uint32_t grant(uint16_t domid, const volatile void *page, int readonly);
/* Takes it back; 0, the grant left as it is, while the other side has the page mapped. */
int grant_end(uint32_t ref);

/* xenbus.c: a device of this guest, and its backend's folder. */
struct frontend {
  char front[48], back[80];
  uint16_t domid; /* of the backend */
  uint32_t port;  /* the device's event channel, masked, once there is one */
};
/* The first device of a kind, such as "vbd"; 0 if there is none. Its backend's state is watched from then on. */
int frontend_find(struct frontend *f, const char *kind);
int frontend_backend_state(const struct frontend *f);
/* Waits until the backend's state, as a bit, is in `states` (1 << XenbusState...); returns the state. */
int frontend_await(const struct frontend *f, unsigned states);
/* Waits until the backend is connected; 0: it has closed instead, and the folder "error" says why. */
int frontend_connected(const struct frontend *f);
/* A number that the backend has written, or `otherwise`. */
uint64_t frontend_backend_number(const struct frontend *f, const char *name, uint64_t otherwise);
/* Writes a node of the frontend; `state` is the last of them. */
void frontend_write(const struct frontend *f, const char *name, uint64_t value);
/* Makes the event channel, for the backend to bind to. */
void frontend_make_port(struct frontend *f);

/* front_ring.c: both indexes that count are private; the shared ones only tell and ask. */
struct front_ring {
  volatile struct xen_sring *shared;
  uint32_t size; /* entries: a power of two */
  uint32_t entry_size;
  uint32_t filled, shown, taken; /* requests written, requests shown to the backend, responses read */
};
/* Over pages that lie one behind the other. */
void ring_init(struct front_ring *r, volatile void *pages, size_t size, size_t entry_size);
/* How many requests may be written now. A response that is still to be looked at must be, before its entry is written anew. */
uint32_t ring_room(const struct front_ring *r);
volatile void *ring_request(struct front_ring *r);
/* Shows the backend all requests that were written. Non-zero: it wants an event. */
int ring_show(struct front_ring *r);
/* The next response, or 0. */
volatile void *ring_response(struct front_ring *r);
/* Before sleeping: asks for an event with the next response. Non-zero: one is there already, and it is no time to sleep. */
int ring_ask(struct front_ring *r);

#endif
