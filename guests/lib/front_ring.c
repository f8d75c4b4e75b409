/* The front's end of a shared ring (public/io/ring.h):
 * 1. [FRONT] writes requests, then req_prod; if that passes req_event [BACK], it sends an event.
 * 2. [BACK] writes responses into the entries of requests that it has read, then rsp_prod.
 * 3. [FRONT] reads responses up to rsp_prod. Before it sleeps it stores rsp_event, one past what it has read, and looks at
 *    rsp_prod once more: either it sees a response that came meanwhile, or the backend sees rsp_event and sends an event. */
#include "frontend.h"

void ring_init(struct front_ring *r, volatile void *pages, size_t size, size_t entry_size) {
  memset((void *)pages, 0, size);
  r->shared = pages;
  r->entry_size = (uint32_t)entry_size;
  for (r->size = 1; sizeof *r->shared + r->size * 2 * entry_size <= size;) r->size *= 2;
  r->filled = r->shown = r->taken = 0;
  r->shared->req_event = r->shared->rsp_event = 1;
}

static volatile void *entry(struct front_ring *r, uint32_t index) {
  return (volatile uint8_t *)(r->shared + 1) + (index & (r->size - 1)) * r->entry_size;
}

uint32_t ring_room(const struct front_ring *r) { return r->size - (r->filled - r->taken); }

volatile void *ring_request(struct front_ring *r) { return entry(r, r->filled++); }

int ring_show(struct front_ring *r) {
  uint32_t before = r->shown;
  r->shown = r->filled;
  barrier();
  r->shared->req_prod = r->shown;
  barrier();
  return r->shown - r->shared->req_event < r->shown - before;
}

volatile void *ring_response(struct front_ring *r) {
  if (r->taken == r->shared->rsp_prod) return 0;
  barrier();
  return entry(r, r->taken++);
}

int ring_ask(struct front_ring *r) {
  r->shared->rsp_event = r->taken + 1;
  barrier();
  return r->taken != r->shared->rsp_prod;
}
