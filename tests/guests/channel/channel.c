/* channel: sends back each byte that comes through its channel (`channel=`: a PV console beyond the first), as it came and no
 * faster than whoever listens takes it. Asked by xl reboot or xl shutdown, it does that. The protocol is the console's
 * (public/io/console.h), with a ring and an event channel that the guest makes itself. */
#include <frontend.h>

#include <xen/io/console.h>
#include <xen/sched.h>

static volatile struct xencons_interface ring PAGE_ALIGNED;
_Static_assert(sizeof ring <= PAGE_SIZE, "the ring is a page");

/* Bytes that were moved: as many as there are, and as there is room for. */
static uint32_t echo(void) {
  uint32_t in = ring.in_cons, out = ring.out_prod, n = 0;
  uint32_t waiting = ring.in_prod - in, room = sizeof ring.out - (out - ring.out_cons);
  barrier();
  for (; n < waiting && n < room; n++) ring.out[(out + n) % sizeof ring.out] = ring.in[(in + n) % sizeof ring.in];
  barrier();
  ring.in_cons = in + n;
  ring.out_prod = out + n;
  return n;
}

/* Does what the toolstack asks for, after it has taken note of it. */
static void obey(void) {
  char what[16];
  if (xenstore_read("control/shutdown", what, sizeof what) <= 0) return;
  xenstore_write("control/shutdown", "");
  printf("channel: %s\n", what);
  shutdown(strcmp(what, "reboot") == 0 ? SHUTDOWN_reboot : SHUTDOWN_poweroff);
}

void guest_main(void) {
  struct frontend f;
  if (!frontend_find(&f, "console")) {
    printf("channel: there is none\n");
    return;
  }
  grants_init();
  frontend_make_port(&f);
  frontend_await(&f, 1u << XenbusStateInitWait);
  frontend_write(&f, "ring-ref", grant(f.domid, &ring, 0));
  frontend_write(&f, "port", f.port);
  frontend_write(&f, "state", XenbusStateInitialised);
  if (!frontend_connected(&f)) {
    printf("channel: it can't be had\n");
    return;
  }
  frontend_write(&f, "state", XenbusStateConnected);
  xenstore_watch("control/shutdown");
  printf("channel: ready\n");
  const uint32_t ports[] = {f.port, start_info->store_evtchn};
  for (;;) {
    if (xenstore_changed()) obey();
    if (echo() > 0) event_notify(f.port);
    else event_poll_any(ports, 2, 0);
  }
}
