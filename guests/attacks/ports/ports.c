/* ports: event channel operations on every kind of port and at every edge: 0, closed, the last, past the last, past 2^31; on
 * vcpus, VIRQs and interrupts that aren't; on ports of other domains; binding twice, closing twice, all ports at once. A broken
 * hypervisor sets a bit outside of the domain's bitmap, or hands over somebody else's channel. */
#define NAME "ports"
#include "../attack.h"

static const uint32_t numbers[] = {0, 1, 2, 3, 63, 64, 511, 512, 4094, 4095, 4096, 4097, 131071, 131072, 0x7fffffff, 0x80000000, 0xffffffff};
#define COUNT (sizeof numbers / sizeof *numbers)
#define EACH(n) for (const uint32_t *n = numbers; n < numbers + COUNT; n++)

static long op(int cmd, void *arg) { return HYPERVISOR_event_channel_op(cmd, arg); }

static void simple(const char *what, int cmd) {
  printf(NAME ": %s:", what);
  EACH(n) {
    /* Ports 1 and 2 are xenstore's and the console's. */
    if (cmd == EVTCHNOP_close && (*n == 1 || *n == 2)) continue;
    uint32_t arg[2] = {*n};
    printf(" %ld", op(cmd, arg));
  }
  printf("\n");
}

static uint32_t unbound(uint16_t remote) {
  struct evtchn_alloc_unbound alloc = {.dom = DOMID_SELF, .remote_dom = remote};
  return op(EVTCHNOP_alloc_unbound, &alloc) == 0 ? alloc.port : 0;
}

static void edges(void) {
  simple("send", EVTCHNOP_send);
  simple("unmask", EVTCHNOP_unmask);
  simple("close", EVTCHNOP_close);
  printf(NAME ": status:");
  EACH(n) {
    struct evtchn_status status = {.dom = DOMID_SELF, .port = *n};
    long result = op(EVTCHNOP_status, &status);
    printf(" %ld/%u", result, *n == 1 || *n == 2 || result ? 9 : status.status);
  }
  printf("\n" NAME ": bind_vcpu 0:");
  EACH(n) {
    struct evtchn_bind_vcpu bind = {.port = *n, .vcpu = 0};
    printf(" %ld", op(EVTCHNOP_bind_vcpu, &bind));
  }
  uint32_t port = unbound(0);
  printf("\n" NAME ": bind_vcpu of a port:");
  EACH(n) {
    struct evtchn_bind_vcpu bind = {.port = port, .vcpu = *n};
    printf(" %ld", op(EVTCHNOP_bind_vcpu, &bind));
  }
  printf("\n" NAME ": bind_ipi:");
  EACH(n) {
    struct evtchn_bind_ipi bind = {.vcpu = *n};
    printf(" %ld", op(EVTCHNOP_bind_ipi, &bind));
  }
  printf("\n" NAME ": bind_virq:");
  for (uint32_t virq = 0; virq < 26; virq++) {
    struct evtchn_bind_virq bind = {.virq = virq, .vcpu = 0};
    printf(" %ld", op(EVTCHNOP_bind_virq, &bind));
  }
  EACH(n) {
    struct evtchn_bind_virq bind = {.virq = *n, .vcpu = 0};
    if (*n > 25) printf(" %ld", op(EVTCHNOP_bind_virq, &bind));
  }
  printf("\n" NAME ": bind_virq 0 on vcpu:");
  EACH(n) {
    struct evtchn_bind_virq bind = {.virq = 0, .vcpu = *n};
    if (*n) printf(" %ld", op(EVTCHNOP_bind_virq, &bind));
  }
  printf("\n" NAME ": bind_pirq:");
  EACH(n) {
    /* How many a domain may have depends on the machine. */
    if (*n > 3 && *n < 4096) continue;
    struct evtchn_bind_pirq bind = {.pirq = *n};
    printf(" %ld", op(EVTCHNOP_bind_pirq, &bind));
  }
  printf("\n");
}

static void of_others(void) {
  static const uint16_t domains[] = {0, 2, 0x7fef, DOMID_SELF, DOMID_IO, DOMID_XEN, DOMID_INVALID, 0xffff};
  uint16_t self = own_domid();
  for (unsigned i = 0; i < sizeof domains / sizeof *domains; i++) {
    printf(NAME ": domain 0x%x: bind_interdomain:", domains[i]);
    EACH(n) {
      if ((*n == 1 || *n == 2) || (domains[i] == 0 && *n < 4000)) continue;
      struct evtchn_bind_interdomain bind = {.remote_dom = domains[i], .remote_port = *n};
      printf(" %ld", op(EVTCHNOP_bind_interdomain, &bind));
    }
    struct evtchn_alloc_unbound theirs = {.dom = domains[i], .remote_dom = self}, ours = {.dom = DOMID_SELF, .remote_dom = domains[i]};
    struct evtchn_status status = {.dom = domains[i], .port = 1};
    struct evtchn_reset reset = {.dom = domains[i]};
    printf(", alloc_unbound %ld, for it %ld, status %ld, reset %ld\n", domains[i] == DOMID_SELF ? 0 : op(EVTCHNOP_alloc_unbound, &theirs),
           op(EVTCHNOP_alloc_unbound, &ours), op(EVTCHNOP_status, &status),
           domains[i] == DOMID_SELF ? 0 : op(EVTCHNOP_reset, &reset));
  }
  uint32_t port = unbound(self);
  struct evtchn_bind_interdomain bind = {.remote_dom = self, .remote_port = port};
  show("bind to its own port", op(EVTCHNOP_bind_interdomain, &bind));
  show("bind to it again", op(EVTCHNOP_bind_interdomain, &bind));
  uint32_t to_domain0 = unbound(0);
  bind.remote_port = to_domain0;
  show("bind to its own port that is domain 0's", op(EVTCHNOP_bind_interdomain, &bind));
  show("send by a port that nobody took", op(EVTCHNOP_send, &to_domain0));
  uint32_t local = port + 1;
  show("close one end", op(EVTCHNOP_close, &port));
  show("close it twice", op(EVTCHNOP_close, &port));
  show("send by the other", op(EVTCHNOP_send, &local));
  show("close the other", op(EVTCHNOP_close, &local));
  show("close the other twice", op(EVTCHNOP_close, &local));
}

/* Takes all that there are, gives them back, does so again: the numbers must be the same. */
static void all(void) {
  static uint32_t ports[5000];
  for (int round = 0; round < 2; round++) {
    unsigned n = 0;
    long result = 0;
    while (n < 5000) {
      struct evtchn_alloc_unbound alloc = {.dom = DOMID_SELF, .remote_dom = 0};
      if ((result = op(EVTCHNOP_alloc_unbound, &alloc)) != 0) break;
      ports[n++] = alloc.port;
    }
    struct evtchn_bind_ipi ipi = {.vcpu = 0};
    printf(NAME ": all ports: the last 0x%x, then %ld, bind_ipi %ld\n", ports[n - 1], result, op(EVTCHNOP_bind_ipi, &ipi));
    unsigned closed = 0;
    for (unsigned i = 0; i < n; i++) closed += op(EVTCHNOP_close, &ports[i]) == 0;
    show("all of them closed", closed == n);
  }
}

static void unknown(void) {
  static char arg[64];
  printf(NAME ": operations from 11 on:");
  for (int cmd = 11; cmd < 18; cmd++)
    if (cmd < EVTCHNOP_init_control || cmd > EVTCHNOP_set_priority) printf(" %ld", op(cmd, arg));
  printf(" %ld %ld\n", op(-1, arg), op(0x7fffffff, arg));
}

void guest_main(void) {
  edges();
  of_others();
  all();
  unknown();
  printf(NAME ": done\n");
}
