/* smp4: four vcpus of one domain at work together: counting with locked instructions, with a spinlock that yields, and with
 * a ticket lock that polls until it is kicked; a ring of IPIs; sleepers woken one by one and all at once, by timers, by
 * polls; shootdowns to some and to all; times of each in each state. At last each goes down, and the domain with them. */
#define NAME "smp4"
#define CPUS 4
#include "../smp/smp.h"

static volatile long total;

/* Starts an errand on all, vcpu 0 included, and waits for the others. */
static void together(errand fn) {
  for (unsigned i = 1; i < CPUS; i++) start(i, fn);
  fn();
  for (unsigned i = 1; i < CPUS; i++) finish(i);
}

static void others(errand fn) {
  for (unsigned i = 1; i < CPUS; i++) start(i, fn);
  for (unsigned i = 1; i < CPUS; i++) finish(i);
}

static void count_atomically(void) {
  for (int i = 0; i < 20000; i++) __asm__ volatile("lock incq %0" : "+m"(total) : : "memory", "cc");
}

static volatile uint32_t spinlock;

static uint32_t swap(volatile uint32_t *at, uint32_t value) {
  __asm__ volatile("xchgl %0, %1" : "+r"(value), "+m"(*at) : : "memory");
  return value;
}

/* The yield inside makes the others meet a lock that is held. */
static void count_with_spinlock(void) {
  for (int i = 0; i < 200; i++) {
    while (swap(&spinlock, 1)) yield();
    long was = total;
    if (i % 8 == 0) yield();
    total = was + 1;
    barrier();
    spinlock = 0;
  }
}

/* Ticket lock. Who waits polls for a masked port of its own; who unlocks kicks the next. */
static volatile uint32_t next, serving;
static volatile uint32_t waiting_for[CPUS];
static uint32_t kick[CPUS];

static void poll_for(uint32_t port, uint64_t timeout) {
  struct sched_poll arg = {.ports = (uint64_t)&port, .nr_ports = 1, .timeout = timeout};
  HYPERVISOR_sched_op(SCHEDOP_poll, &arg);
}

static void clear_pending(uint32_t port) {
  __asm__ volatile("lock btrq %1, %0"
                   : "+m"(shared_info.evtchn_pending[port / 64])
                   : "r"((uint64_t)port % 64)
                   : "memory", "cc");
}

static void count_with_tickets(void) {
  uint64_t id = this_cpu()->id;
  for (int i = 0; i < 100; i++) {
    uint32_t ticket = 1;
    __asm__ volatile("lock xaddl %0, %1" : "+r"(ticket), "+m"(next) : : "memory", "cc");
    while (serving != ticket) {
      clear_pending(kick[id]);
      waiting_for[id] = ticket + 1;
      __asm__ volatile("mfence" ::: "memory");
      if (serving != ticket) poll_for(kick[id], 0);
      waiting_for[id] = 0;
    }
    long was = total;
    if (i % 8 == 0) yield();
    total = was + 1;
    barrier();
    uint32_t now = ++serving;
    __asm__ volatile("mfence" ::: "memory");
    for (unsigned other = 0; other < CPUS; other++)
      if (waiting_for[other] == now + 1) send(kick[other]);
  }
}

static void counting(void) {
  together(count_atomically);
  show("counted with locked instructions", total);
  total = 0;
  together(count_with_spinlock);
  show("counted with a spinlock", total);
  total = 0;
  for (unsigned i = 0; i < CPUS; i++) kick[i] = bind_ipi(i, 0);
  together(count_with_tickets);
  show("counted with a ticket lock", total);
}

/* A token goes round. */
#define HOPS 400
static uint32_t hop[CPUS];
static volatile int hops, misplaced;

static void on_hop(uint32_t port) {
  uint64_t id = this_cpu()->id;
  misplaced += port != hop[id] || (uint64_t)hops % CPUS != id;
  if (++hops < HOPS) send(hop[(id + 1) % CPUS]);
}

static void ring(void) {
  for (unsigned i = 0; i < CPUS; i++) hop[i] = bind_ipi(i, on_hop);
  local_enable();
  send(hop[0]);
  while (hops < HOPS) yield();
  show("hops of a token", hops);
  show("at the wrong vcpu", misplaced);
}

/* Sleepers. */
static uint32_t wake[CPUS];
static volatile int woken, order;

static void on_wake(uint32_t port) {
  (void)port;
  woken++;
}

static void sleep_for_event(void) {
  local_disable();
  HYPERVISOR_sched_op(SCHEDOP_block, 0);
}

static int state_of(unsigned cpu) {
  struct vcpu_runstate_info state;
  HYPERVISOR_vcpu_op(VCPUOP_get_runstate_info, cpu, &state);
  return state.state;
}

static void all_asleep(void) {
  for (unsigned i = 1; i < CPUS; i++)
    while (state_of(i) != RUNSTATE_blocked) yield();
}

static void sleep_for_timer(void) {
  unsigned id = (unsigned)this_cpu()->id;
  struct vcpu_set_singleshot_timer shot = {.timeout_abs_ns = system_time() + (CPUS - id) * 15000000ul};
  local_disable();
  HYPERVISOR_vcpu_op(VCPUOP_set_singleshot_timer, id, &shot);
  HYPERVISOR_sched_op(SCHEDOP_block, 0);
  order = order * 10 + (int)id;
}

static void sleep_by_poll(void) {
  uint64_t timeout = system_time() + (CPUS - this_cpu()->id) * 15000000ul;
  uint32_t port = kick[this_cpu()->id];
  clear_pending(port);
  poll_for(port, timeout);
  order = order * 10 + (int)this_cpu()->id;
  this_cpu()->result = system_time() >= timeout;
}

static void poll_of_two(void) {
  uint32_t ports[2] = {kick[2], kick[3]};
  struct sched_poll arg = {.ports = (uint64_t)ports, .nr_ports = 2, .timeout = 0};
  clear_pending(ports[0]);
  clear_pending(ports[1]);
  this_cpu()->result = HYPERVISOR_sched_op(SCHEDOP_poll, &arg);
}

static void sleeping(void) {
  for (unsigned i = 1; i < CPUS; i++) {
    wake[i] = bind_ipi(i, on_wake);
    start(i, sleep_for_event);
  }
  all_asleep();
  send(wake[2]);
  finish(2);
  show("woken by one event", woken);
  show("vcpu 1 sleeps on", state_of(1) == RUNSTATE_blocked);
  start(2, sleep_for_event);
  all_asleep();
  for (unsigned i = 1; i < CPUS; i++) send(wake[i]);
  for (unsigned i = 1; i < CPUS; i++) finish(i);
  show("woken by one event each", woken);

  for (unsigned i = 1; i < CPUS; i++) {
    struct evtchn_bind_virq bind = {.virq = VIRQ_TIMER, .vcpu = i};
    vcpu_op(VCPUOP_stop_periodic_timer, i);
    HYPERVISOR_event_channel_op(EVTCHNOP_bind_virq, &bind);
    woken = 0;
    bind_handler(bind.port, i, on_wake);
  }
  others(sleep_for_timer);
  show("woken by timers, in the order", order);
  order = 0;
  others(sleep_by_poll);
  show("polls that timed out, in the order", order);
  show("none of them early", cpus[1].result + cpus[2].result + cpus[3].result);
  start(1, poll_of_two);
  while (state_of(1) != RUNSTATE_blocked) yield();
  send(kick[3]);
  show("a poll of two ports ends by the second", finish(1));
}

static volatile uint64_t first[512] PAGE_ALIGNED, second[512] PAGE_ALIGNED, window[512] PAGE_ALIGNED;

static void read_window(void) { this_cpu()->result = (long)window[0]; }

static void point(const volatile void *page) {
  struct mmu_update request = {.ptr = entry_address(window, 1), .val = mfn_of(page) * PAGE_SIZE | RW};
  HYPERVISOR_mmu_update(&request, 1, 0, DOMID_SELF);
}

static void shoot(const char *what, uint32_t cmd, uint64_t mask) {
  struct mmuext_op op = {.cmd = cmd, .arg1_linear_addr = (uint64_t)window, .arg2_vcpumask = (uint64_t)&mask};
  struct mmuext_op before = {.cmd = MMUEXT_TLB_FLUSH_ALL};
  point(first);
  HYPERVISOR_mmuext_op(&before, 1, 0, DOMID_SELF);
  others(read_window);
  point(second);
  show(what, HYPERVISOR_mmuext_op(&op, 1, 0, DOMID_SELF));
  others(read_window);
  for (unsigned i = 1; i < CPUS; i++)
    if (mask >> i & 1) show("read by one that was named", cpus[i].result);
}

static void shooting(void) {
  first[0] = 111;
  second[0] = 222;
  shoot("INVLPG_MULTI for vcpus 1 and 3", MMUEXT_INVLPG_MULTI, 0xa);
  shoot("TLB_FLUSH_MULTI for vcpus 2 and 3", MMUEXT_TLB_FLUSH_MULTI, 0xc);
  shoot("INVLPG_ALL", MMUEXT_INVLPG_ALL, 0xe);
  shoot("TLB_FLUSH_ALL", MMUEXT_TLB_FLUSH_ALL, 0xe);
}

static uint64_t time_in(unsigned cpu, int state, uint64_t *sum) {
  struct vcpu_runstate_info info;
  HYPERVISOR_vcpu_op(VCPUOP_get_runstate_info, cpu, &info);
  *sum = info.time[0] + info.time[1] + info.time[2] + info.time[3];
  return info.time[state];
}

static volatile int stop;

static void spin(void) {
  while (!stop) {}
}

static void times(void) {
  uint64_t sum[4], sum_after[4], blocked, running, waiting;
  start(1, sleep_for_event);
  start(2, spin);
  while (state_of(1) != RUNSTATE_blocked) yield();
  blocked = time_in(1, RUNSTATE_blocked, &sum[1]);
  running = time_in(2, RUNSTATE_running, &sum[2]);
  waiting = time_in(2, RUNSTATE_runnable, &sum[2]);
  uint64_t begin = system_time();
  while (system_time() < begin + 60000000) {}
  blocked = time_in(1, RUNSTATE_blocked, &sum_after[1]) - blocked;
  running = time_in(2, RUNSTATE_running, &sum_after[2]) - running;
  waiting = time_in(2, RUNSTATE_runnable, &sum_after[2]) - waiting;
  uint64_t elapsed = system_time() - begin;
  stop = 1;
  send(wake[1]);
  finish(1);
  finish(2);
  show("the sleeper was blocked all the while", blocked >= elapsed * 9 / 10);
  show("the sleeper's times add up to the time that passed",
       sum_after[1] - sum[1] >= elapsed * 9 / 10 && sum_after[1] - sum[1] <= elapsed * 11 / 10);
  show("two that spin share the processor", running >= elapsed / 5 && waiting >= elapsed / 5);
  show("the spinner's times add up to the time that passed",
       sum_after[2] - sum[2] >= elapsed * 9 / 10 && sum_after[2] - sum[2] <= elapsed * 11 / 10);
}

static void go_down(void) { vcpu_op(VCPUOP_down, (unsigned)this_cpu()->id); }

void guest_main(void) {
  smp_init();
  for (unsigned i = 1; i < CPUS; i++) show("bring up the next", bring_up(i));
  show("bring up the next", HYPERVISOR_vcpu_op(VCPUOP_initialise, 4, &context));
  counting();
  ring();
  sleeping();
  shooting();
  times();
  for (unsigned i = 1; i < CPUS; i++) {
    start(i, go_down);
    while (vcpu_op(VCPUOP_is_up, i)) yield();
    show("down", (long)i);
  }
  printf(NAME ": done; the last one goes down\n");
  console_drain();
  vcpu_op(VCPUOP_down, 0);
  printf(NAME ": still here\n");
}
