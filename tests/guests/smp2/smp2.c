/* smp2: two vcpus of one domain: how the second comes up and what is refused on the way, events and timers of each, a
 * vcpu_info of its own, going down and coming back. Translations that the other vcpu still holds are smptlb's affair. */
#define NAME "smp2"
#define CPUS 2
#include "../smp/smp.h"

static volatile int count;
static volatile struct vcpu_info new_info __attribute__((aligned(64)));
static volatile uint64_t info_page[512] PAGE_ALIGNED;

static void nothing(void) { this_cpu()->result = (long)this_cpu()->id; }

static void tally(uint32_t port) {
  (void)port;
  count += 1 + 100 * (int)this_cpu()->id;
}

static long initialise(unsigned cpu) { return HYPERVISOR_vcpu_op(VCPUOP_initialise, cpu, &context); }

static void bringing_up(void) {
  show("is_up 1", vcpu_op(VCPUOP_is_up, 1));
  show("the upcall mask of vcpu 1", shared_info.vcpu_info[1].evtchn_upcall_mask);
  show("up 1 before it is initialised", vcpu_op(VCPUOP_up, 1));
  show("initialise 1 from nowhere", HYPERVISOR_vcpu_op(VCPUOP_initialise, 1, NOWHERE));
  fill_context(1);
  show("initialise 2", initialise(2));
  show("initialise 0", initialise(0));
  context.user_regs.rip = 0x0000800000000000;
  show("initialise 1 at a rip that is not canonical", initialise(1));
  fill_context(1);
  context.event_callback_eip = 0x0000800000000000;
  show("initialise 1 with a callback that is not canonical", initialise(1));
  fill_context(1);
  context.ctrlreg[3] = 0;
  show("initialise 1 with another's frame as its table", initialise(1));
  fill_context(1);
  context.ctrlreg[3] = mfn_of(&count) * PAGE_SIZE;
  show("initialise 1 with a page of data as its table", initialise(1));
  fill_context(1);
  context.flags = 0;
  show("initialise 1 in user mode, without a user table", initialise(1));
  fill_context(1);
  context.gdt_ents = 7169;
  show("initialise 1 with too many descriptors", initialise(1));
  fill_context(1);
  context.ldt_base = 0x1001;
  show("initialise 1 with an LDT that is not aligned", initialise(1));
  show("is_up 1", vcpu_op(VCPUOP_is_up, 1));
  fill_context(1);
  show("initialise 1", initialise(1));
  show("initialise 1 again", initialise(1));
  show("is_up 1", vcpu_op(VCPUOP_is_up, 1));
  show("up 1", vcpu_op(VCPUOP_up, 1));
  show("is_up 1", vcpu_op(VCPUOP_is_up, 1));
  show("up 1 again", vcpu_op(VCPUOP_up, 1));
  cpus[1].result = 0;
  show("vcpu 1 runs an errand", run(1, nothing));
}

static uint32_t ping, pong;
static volatile int pings, pongs, wrong;

static void on_ping(uint32_t port) {
  pings++;
  wrong += this_cpu()->id != 1 || port != ping;
  send(pong);
}

static void on_pong(uint32_t port) {
  pongs++;
  wrong += this_cpu()->id != 0 || port != pong;
}

static long bind_vcpu(uint32_t port, uint32_t vcpu) {
  struct evtchn_bind_vcpu arg = {.port = port, .vcpu = vcpu};
  long error = HYPERVISOR_event_channel_op(EVTCHNOP_bind_vcpu, &arg);
  if (error == 0) assign(port, vcpu);
  return error;
}

static long bind_virq(uint32_t virq, uint32_t vcpu) {
  struct evtchn_bind_virq arg = {.virq = virq, .vcpu = vcpu};
  long error = HYPERVISOR_event_channel_op(EVTCHNOP_bind_virq, &arg);
  return error ? error : (long)arg.port;
}

static void wait_for(volatile int *what, int least) {
  uint64_t end = system_time() + 2000000000;
  while (*what < least && system_time() < end) yield();
}

static void events(void) {
  struct evtchn_bind_ipi none = {.vcpu = 7};
  show("bind_ipi for vcpu 7", HYPERVISOR_event_channel_op(EVTCHNOP_bind_ipi, &none));
  ping = bind_ipi(1, on_ping);
  pong = bind_ipi(0, on_pong);
  local_enable();
  for (int i = 1; i <= 100; i++) {
    send(ping);
    wait_for(&pongs, i);
  }
  show("pings", pings);
  show("pongs", pongs);
  show("on the wrong vcpu or port", wrong);
  show("move an IPI", bind_vcpu(ping, 0));
  show("move a port to vcpu 7", bind_vcpu(ping, 7));
  show("move port 0", bind_vcpu(0, 1));
  show("move port 4096", bind_vcpu(4096, 1));

  struct evtchn_alloc_unbound alloc = {.dom = DOMID_SELF, .remote_dom = DOMID_SELF};
  HYPERVISOR_event_channel_op(EVTCHNOP_alloc_unbound, &alloc);
  show("move an unbound port", bind_vcpu(alloc.port, 1));
  struct evtchn_bind_interdomain bind = {.remote_dom = DOMID_SELF, .remote_port = alloc.port};
  show("bind the other end", HYPERVISOR_event_channel_op(EVTCHNOP_bind_interdomain, &bind));
  struct evtchn_status status = {.dom = DOMID_SELF, .port = alloc.port};
  HYPERVISOR_event_channel_op(EVTCHNOP_status, &status);
  show("its vcpu", status.vcpu);
  bind_handler(alloc.port, 1, tally);
  bind_handler(bind.local_port, 0, tally);
  wait_for(&count, 1);
  show("the new end is told once, on vcpu 0", count);
  count = 0;
  send(bind.local_port);
  wait_for(&count, 1);
  show("a send to the moved end is vcpu 1's", count);
  count = 0;
  show("move it back", bind_vcpu(alloc.port, 0));
  send(bind.local_port);
  wait_for(&count, 1);
  show("a send to it is vcpu 0's", count);
  count = 0;
  /* Pending while masked, announced by unmask to where it belongs now. */
  shared_info.evtchn_mask[alloc.port / 64] |= 1ul << alloc.port % 64;
  send(bind.local_port);
  show("move it while masked and pending", bind_vcpu(alloc.port, 1));
  struct evtchn_unmask unmask = {.port = alloc.port};
  show("unmask it", HYPERVISOR_event_channel_op(EVTCHNOP_unmask, &unmask));
  wait_for(&count, 1);
  show("it is vcpu 1's", count);
  show("VIRQ_CONSOLE for vcpu 1", bind_virq(VIRQ_CONSOLE, 1));
  show("VIRQ_DEBUG for vcpu 7", bind_virq(VIRQ_DEBUG, 7));
  show("VIRQ 24", bind_virq(24, 0));
  long debug = bind_virq(VIRQ_DEBUG, 1);
  show("VIRQ_DEBUG for vcpu 1", debug > 0);
  show("VIRQ_DEBUG for vcpu 1 again", bind_virq(VIRQ_DEBUG, 1));
  show("move VIRQ_DEBUG", bind_vcpu((uint32_t)debug, 0));
  show("send to a VIRQ's port", send((uint32_t)debug));
}

static void sleep_once(void) {
  struct vcpu_set_singleshot_timer shot = {.timeout_abs_ns = system_time() + 20000000};
  local_disable();
  HYPERVISOR_vcpu_op(VCPUOP_set_singleshot_timer, 1, &shot);
  HYPERVISOR_sched_op(SCHEDOP_block, 0);
  this_cpu()->result = system_time() >= shot.timeout_abs_ns;
}

static void sleep_past(void) {
  struct vcpu_set_singleshot_timer shot = {.timeout_abs_ns = 1};
  HYPERVISOR_vcpu_op(VCPUOP_set_singleshot_timer, 1, &shot);
  HYPERVISOR_xen_version(0, 0);
  this_cpu()->result = count;
}

static void timers(void) {
  struct vcpu_set_singleshot_timer shot = {.timeout_abs_ns = system_time() + 1000000};
  struct vcpu_set_periodic_timer period = {.period_ns = 5000000};
  vcpu_op(VCPUOP_stop_periodic_timer, 1);
  uint32_t port = (uint32_t)bind_virq(VIRQ_TIMER, 1);
  show("VIRQ_TIMER for vcpu 1 again", bind_virq(VIRQ_TIMER, 1));
  count = 0;
  bind_handler(port, 1, tally);
  run(1, sleep_past); /* takes a tick that was pending already */
  count = 0;
  show("set_singleshot_timer of vcpu 1", HYPERVISOR_vcpu_op(VCPUOP_set_singleshot_timer, 1, &shot));
  show("stop_singleshot_timer of vcpu 1", vcpu_op(VCPUOP_stop_singleshot_timer, 1));
  show("vcpu 1 slept until its timer", run(1, sleep_once));
  show("its ticks", count);
  count = 0;
  show("a time in the past fires at once", run(1, sleep_past));
  count = 0;
  show("set_periodic_timer of vcpu 1", HYPERVISOR_vcpu_op(VCPUOP_set_periodic_timer, 1, &period));
  wait_for(&count, 303);
  show("its ticks are vcpu 1's", count >= 303 && count % 101 == 0);
  show("stop_periodic_timer of vcpu 1", vcpu_op(VCPUOP_stop_periodic_timer, 1));
}

static long register_info(unsigned cpu, uint64_t mfn, uint64_t offset) {
  struct vcpu_register_vcpu_info arg = {.mfn = mfn, .offset = (uint32_t)offset};
  return HYPERVISOR_vcpu_op(VCPUOP_register_vcpu_info, cpu, &arg);
}

static void register_own(void) {
  local_disable();
  this_cpu()->result = register_info(1, mfn_of(&new_info), (uint64_t)&new_info % PAGE_SIZE);
  this_cpu()->info = &new_info;
  local_enable();
}

static void info(void) {
  uint64_t mfn = mfn_of(info_page);
  show("register_vcpu_info of vcpu 1, which runs", register_info(1, mfn, 0));
  show("register_vcpu_info by itself", run(1, register_own));
  show("its upcall was taken there", new_info.evtchn_upcall_pending == 0 && new_info.evtchn_pending_sel == 0);
  show("its time is told there", new_info.time.tsc_to_system_mul == shared_info.vcpu_info[0].time.tsc_to_system_mul);
  pings = pongs = wrong = 0;
  shared_info.vcpu_info[1].evtchn_upcall_pending = 0;
  for (int i = 1; i <= 20; i++) {
    send(ping);
    wait_for(&pongs, i);
  }
  show("pings", pings);
  show("on the wrong vcpu", wrong);
  show("nothing is told at the old place", shared_info.vcpu_info[1].evtchn_upcall_pending);
  /* Down, it may be moved from outside, but not a second time. */
  vcpu_op(VCPUOP_down, 1);
  show("register_vcpu_info again, down", register_info(1, mfn, 0));
  vcpu_op(VCPUOP_up, 1);
  show("vcpu 1 runs an errand", run(1, nothing));
  /* The page of vcpu 0: nothing else may become of it now. */
  info_page[0] = 0;
  local_disable();
  show("register_vcpu_info of vcpu 0", register_info(0, mfn, 64));
  cpus[0].info = (struct vcpu_info *)&info_page[8];
  local_enable();
  set_page(info_page, mfn * PAGE_SIZE | RO);
  struct mmuext_op pin = {.cmd = MMUEXT_PIN_L1_TABLE, .arg1_mfn = mfn};
  show("pin its page as a table", HYPERVISOR_mmuext_op(&pin, 1, 0, DOMID_SELF));
  set_page(info_page, mfn * PAGE_SIZE | RW);
}

static volatile long beats;

static void beat(void) {
  for (cpus[1].result = 0; !cpus[1].result;) beats++;
}

static void down_itself(void) { this_cpu()->result = 1000 + vcpu_op(VCPUOP_down, 1); }

static void going_down(void) {
  struct vcpu_runstate_info state;
  start(1, beat);
  while (!beats) yield();
  show("down 1 while it runs", vcpu_op(VCPUOP_down, 1));
  /* It may be on its way still, on a machine with more processors. */
  do {
    yield();
    HYPERVISOR_vcpu_op(VCPUOP_get_runstate_info, 1, &state);
  } while (state.state != RUNSTATE_offline);
  long before = beats;
  for (int i = 0; i < 20; i++) yield();
  show("it stands still", beats == before);
  show("is_up 1", vcpu_op(VCPUOP_is_up, 1));
  show("down 1 again", vcpu_op(VCPUOP_down, 1));
  pings = pongs = 0;
  send(ping);
  for (int i = 0; i < 20; i++) yield();
  show("an event for it waits", pings);
  show("up 1", vcpu_op(VCPUOP_up, 1));
  wait_for(&pongs, 1);
  show("and is taken", pings);
  before = beats;
  while (beats == before) yield();
  show("it goes on", 1);
  cpus[1].result = 1;
  finish(1);

  start(1, down_itself);
  while (vcpu_op(VCPUOP_is_up, 1)) yield();
  HYPERVISOR_vcpu_op(VCPUOP_get_runstate_info, 1, &state);
  show("down by itself", state.state);
  uint64_t offline = state.time[RUNSTATE_offline], end = system_time() + 20000000;
  while (system_time() < end) yield();
  HYPERVISOR_vcpu_op(VCPUOP_get_runstate_info, 1, &state);
  show("its time down is counted", state.time[RUNSTATE_offline] >= offline + 15000000);
  show("up 1", vcpu_op(VCPUOP_up, 1));
  show("it goes on after the call", finish(1));
}

void guest_main(void) {
  smp_init();
  bringing_up();
  events();
  timers();
  info();
  going_down();
  printf(NAME ": done\n");
}
