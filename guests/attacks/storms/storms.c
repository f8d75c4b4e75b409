/* storms: for a while each, nothing but: exceptions, emulated instructions, system calls of user mode, direct stores
 * to a page table that are refused, events to itself, timers that are long due, polls that never wait, yields, flushes, pins; and at
 * last a loop with events masked that never calls at all. The neighbour must lose nothing of its share. A broken hypervisor
 * doesn't charge the work that it does for a domain to that domain, or lets it keep the processor. */
#define NAME "storms"
#include "../attack.h"

#include <xen/callback.h>
#include <xen/sched.h>
#include <xen/vcpu.h>

#define STORM_NS 5000000ul

static volatile uint64_t table[512] PAGE_ALIGNED;
static char kernel_stack[8192] __attribute__((aligned(16)));
static char user_stack[4096] __attribute__((aligned(16)));
static volatile uint64_t handled;
static volatile int length;

static int skip(struct regs *regs) {
  handled++;
  regs->rip += length;
  return 1;
}

static void event(uint32_t port) {
  (void)port;
  handled++;
}

#define STORM(what, ...)                                                    \
  do {                                                                      \
    uint64_t until = system_time() + STORM_NS;                              \
    handled = 0;                                                            \
    while (system_time() < until)                                           \
      for (int times = 0; times < 16; times++) __VA_ARGS__;                 \
    printf(NAME ": %s\n", what);                                            \
  } while (0)

static void exceptions(void) {
  for (unsigned vector = 0; vector < 20; vector++) trap_bind(vector, skip);
  STORM("invalid instructions", { length = 2; __asm__ volatile("ud2"); });
  STORM("breakpoints", { length = 0; __asm__ volatile("int3"); });
  STORM("page faults", { length = 2; __asm__ volatile("movb (%%rax), %%al" : : "a"(0x1000) : "cc"); });
  STORM("protection faults", { length = 2; __asm__ volatile("movb (%%rax), %%al" : : "a"(NOT_CANONICAL) : "cc"); });
  STORM("forced cpuid", {
    uint32_t a = 0, b, c = 0, d;
    __asm__ volatile(".byte 0x0f, 0x0b, 0x78, 0x65, 0x6e; cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  });
  STORM("privileged reads", { uint64_t cr; __asm__ volatile("mov %%cr3, %0" : "=r"(cr)); });
  STORM("machine registers", { length = 2; uint32_t a, d; __asm__ volatile("rdmsr" : "=a"(a), "=d"(d) : "c"(0x12345678)); });
  HYPERVISOR_vm_assist(VMASST_CMD_enable, VMASST_TYPE_writable_pagetables);
  set_page(table, frame(mfn_of(table), RO));
  ext(MMUEXT_PIN_L1_TABLE, mfn_of(table));
  STORM("direct stores that are refused", {
    length = 3;
    __asm__ volatile("mov %%rax, (%%rdi)" : : "a"(frame(mfn_of(table), RW)), "D"(&table[1]) : "memory");
  });
  STORM("direct stores", {
    length = 3;
    __asm__ volatile("mov %%rax, (%%rdi)" : : "a"(frame(mfn_of(table), RO) | (uint64_t)times << 9), "D"(&table[1]) : "memory");
  });
  ext(MMUEXT_UNPIN_TABLE, mfn_of(table));
  set_page(table, frame(mfn_of(table), RW));
}

static void leave(struct regs *regs) {
  (void)regs;
  user_leave();
}

__asm__(".pushsection .text\nuser_code: syscall; ud2\n.popsection");
extern char user_code[];

static void system_calls(void) {
  ext(MMUEXT_NEW_USER_BASEPTR, mfn_of((void *)start_info->pt_base));
  hypercall2(__HYPERVISOR_stack_switch, FLAT_KERNEL_SS, kernel_stack + sizeof kernel_stack);
  struct callback_register cb = {.type = CALLBACKTYPE_syscall, .address = (uint64_t)syscall_entry};
  HYPERVISOR_callback_op(CALLBACKOP_register, &cb);
  syscall_handler = leave;
  STORM("system calls of user mode", {
    struct iret_context frame = {.rip = (uint64_t)user_code, .cs = FLAT_USER_CS, .rflags = 0x202,
                                 .rsp = (uint64_t)user_stack + sizeof user_stack, .ss = FLAT_USER_SS};
    user_enter(&frame);
    events_enable();
  });
}

static void events(void) {
  struct evtchn_bind_ipi ipi = {.vcpu = 0};
  HYPERVISOR_event_channel_op(EVTCHNOP_bind_ipi, &ipi);
  event_bind(ipi.port, event);
  STORM("events to itself", event_notify(ipi.port));
  show("they came", handled > 0);
  virq_bind(VIRQ_TIMER, event);
  STORM("timers long due", HYPERVISOR_set_timer_op(1));
  show("they came", handled > 0);
  struct vcpu_set_singleshot_timer single = {.timeout_abs_ns = 1};
  STORM("single-shot timers long due", HYPERVISOR_vcpu_op(VCPUOP_set_singleshot_timer, 0, &single));
  struct vcpu_set_periodic_timer period = {.period_ns = 1000000};
  HYPERVISOR_vcpu_op(VCPUOP_set_periodic_timer, 0, &period);
  uint32_t port = start_info->console_domU_evtchn;
  struct sched_poll poll = {.ports = (uint64_t)&port, .nr_ports = 1, .timeout = 1};
  STORM("polls that are over", HYPERVISOR_sched_op(SCHEDOP_poll, &poll));
  STORM("yields", HYPERVISOR_sched_op(SCHEDOP_yield, 0));
  HYPERVISOR_vcpu_op(VCPUOP_stop_periodic_timer, 0, 0);
  STORM("channels made and closed", {
    struct evtchn_alloc_unbound alloc = {.dom = DOMID_SELF, .remote_dom = 0};
    HYPERVISOR_event_channel_op(EVTCHNOP_alloc_unbound, &alloc);
    HYPERVISOR_event_channel_op(EVTCHNOP_close, &alloc.port);
  });
}

static void memory(void) {
  STORM("flushes", ext(MMUEXT_TLB_FLUSH_ALL, 0));
  memset((void *)table, 0, PAGE_SIZE);
  set_page(table, frame(mfn_of(table), RO));
  STORM("pins", {
    ext(MMUEXT_PIN_L4_TABLE, mfn_of(table));
    ext(MMUEXT_UNPIN_TABLE, mfn_of(table));
  });
  STORM("base pointers", ext(MMUEXT_NEW_BASEPTR, mfn_of((void *)start_info->pt_base)));
  set_page(table, frame(mfn_of(table), RW));
  STORM("console writes that are refused", HYPERVISOR_console_io(CONSOLEIO_write, 16, "storms: a line\n"));
  STORM("frames given and taken", {
    uint64_t list[1] = {7};
    struct xen_memory_reservation r = {.extent_start = (uint64_t)list, .nr_extents = 1, .domid = DOMID_SELF};
    if (HYPERVISOR_memory_op(XENMEM_increase_reservation, &r) == 1) HYPERVISOR_memory_op(XENMEM_decrease_reservation, &r);
  });
}

static void nothing(void) {
  events_disable();
  uint64_t until = system_time() + 5 * STORM_NS;
  while (system_time() < until)
    for (volatile int i = 0; i < 10000; i++) {}
  events_enable();
  printf(NAME ": never calling\n");
}

void guest_main(void) {
  exceptions();
  system_calls();
  traps_init();
  events();
  memory();
  nothing();
  printf(NAME ": done\n");
}
