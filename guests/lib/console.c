/* The console's ring (public/io/console.h). The port stays masked and is polled, so that printing works anywhere.
 * 1. Copy bytes to the ring at out_prod, as many as fit, then store out_prod, then notify the port.
 * 2. While the ring is full, wait for the back to notify the same port after it advanced out_cons. */
#include "lib.h"

#include <xen/io/console.h>

static volatile struct xencons_interface *ring(void) { return address_of_mfn(start_info->console_domU_mfn); }

static void wait(void) {
  event_notify(start_info->console_domU_evtchn);
  event_poll(start_info->console_domU_evtchn);
}

void console_write(const char *text, size_t n) {
  volatile struct xencons_interface *r = ring();
  while (n > 0) {
    uint32_t prod = r->out_prod;
    while (n > 0 && prod - r->out_cons < sizeof r->out) {
      r->out[prod++ % sizeof r->out] = (uint8_t)*text++;
      n--;
    }
    __asm__ volatile("" ::: "memory");
    r->out_prod = prod;
    if (n > 0) wait();
  }
  event_notify(start_info->console_domU_evtchn);
}

void console_drain(void) {
  volatile struct xencons_interface *r = ring();
  while (r->out_cons != r->out_prod) wait();
}

void printf(const char *format, ...) {
  char line[512];
  va_list args;
  va_start(args, format);
  int n = vsnprintf(line, sizeof line, format, args);
  va_end(args);
  console_write(line, n < (int)sizeof line ? (size_t)n : sizeof line - 1);
}

static char getchar(void) {
  volatile struct xencons_interface *r = ring();
  while (r->in_cons == r->in_prod) wait();
  __asm__ volatile("" ::: "memory");
  char c = (char)r->in[r->in_cons % sizeof r->in];
  __asm__ volatile("" ::: "memory");
  r->in_cons++;
  return c;
}

size_t console_line(char *to, size_t size) {
  size_t n = 0;
  for (char c = getchar(); c != '\n' && c != '\r'; c = getchar())
    if (n + 1 < size) to[n++] = c;
  to[n] = 0;
  return n;
}
