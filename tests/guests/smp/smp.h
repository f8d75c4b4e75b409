/* What the SMP tests share: bringing vcpus up, an upcall of each vcpu's own, and errands, so that vcpu 0 alone prints and
 * the transcript has one order. A vcpu without an errand yields. GS holds each vcpu's struct cpu. Each test defines NAME
 * and CPUS before it includes this. */
#ifndef XENOLITH_SMP_H
#define XENOLITH_SMP_H

#include <lib.h>

#include <xen/callback.h>
#include <xen/errno.h>
#include <xen/event_channel.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include <xen/vcpu.h>

#define NOWHERE 0x123456789000ul
#define RO _PAGE_PRESENT
#define RW (_PAGE_PRESENT | _PAGE_RW)
/* set_segment_base: the base of GS that the kernel runs with (public/arch-x86/xen-x86_64.h). */
#define SEGBASE_GS_KERNEL 2
#define barrier() __asm__ volatile("" ::: "memory")

typedef void (*errand)(void);

struct cpu {
  uint64_t id;
  volatile errand fn; /* set by vcpu 0, cleared when done */
  volatile long result;
  volatile struct vcpu_info *info;
};

static struct cpu cpus[CPUS];
static uint8_t stacks[CPUS][16384] __attribute__((aligned(16)));
static event_handler handlers[256];
static volatile uint64_t bound[CPUS][4]; /* which of the ports below 256 each vcpu takes */
extern char smp_event_entry[], trap_0[], trap_6[], trap_13[], trap_14[];

static inline struct cpu *this_cpu(void) {
  uint64_t id;
  __asm__ volatile("movq %%gs:0, %0" : "=r"(id));
  return &cpus[id];
}

static inline void show(const char *what, long result) { printf(NAME ": %s: %ld\n", what, result); }

static inline void yield(void) { HYPERVISOR_sched_op(SCHEDOP_yield, 0); }

/* Upcalls of this vcpu. Xen looks at the mask when it is entered, so enabling enters it. */
static inline void local_disable(void) {
  this_cpu()->info->evtchn_upcall_mask = 1;
  barrier();
}

static inline void local_enable(void) {
  barrier();
  this_cpu()->info->evtchn_upcall_mask = 0;
  barrier();
  if (this_cpu()->info->evtchn_upcall_pending) HYPERVISOR_xen_version(0, 0);
}

/* As events_upcall of the library, but for the vcpu that it runs on. */
void smp_upcall(void) {
  struct cpu *cpu = this_cpu();
  volatile struct vcpu_info *info = cpu->info;
  info->evtchn_upcall_pending = 0;
  uint64_t selector = 0;
  __asm__ volatile("xchgq %0, %1" : "+r"(selector), "+m"(info->evtchn_pending_sel) : : "memory");
  for (selector &= 15; selector; selector &= selector - 1) {
    uint32_t word = (uint32_t)__builtin_ctzl(selector);
    uint64_t pending;
    while ((pending = shared_info.evtchn_pending[word] & ~shared_info.evtchn_mask[word] & bound[cpu->id][word]) != 0) {
      uint64_t bit = (uint64_t)__builtin_ctzl(pending);
      __asm__ volatile("lock btrq %1, %0" : "+m"(shared_info.evtchn_pending[word]) : "r"(bit) : "memory", "cc");
      uint32_t port = word * 64 + (uint32_t)bit;
      if (handlers[port]) handlers[port](port);
    }
  }
}

__asm__(".text\n"
        "smp_event_entry:\n"
        "  pop %rcx; pop %r11\n"
        "  push %rdi; push %rsi; push %rdx; push %rcx; push %rax; push %r8; push %r9; push %r10; push %r11\n"
        "  push %rbx; push %rbp\n"
        "  cld; mov %rsp, %rbp; and $-16, %rsp\n"
        "  call smp_upcall\n"
        "  mov %rbp, %rsp\n"
        "  pop %rbp; pop %rbx\n"
        "  pop %r11; pop %r10; pop %r9; pop %r8; pop %rax; pop %rcx; pop %rdx; pop %rsi; pop %rdi\n"
        "  push $0; jmp hypercall_page + 23 * 32\n");

/* The port is that vcpu's from here on, by what Xen was told. */
static inline void assign(uint32_t port, uint32_t cpu) {
  if (port >= 256 || cpu >= CPUS) return;
  for (uint32_t i = 0; i < CPUS; i++)
    if (i != cpu) __asm__ volatile("lock btrq %1, %0" : "+m"(bound[i][port / 64]) : "r"((uint64_t)port % 64) : "cc");
  __asm__ volatile("lock btsq %1, %0" : "+m"(bound[cpu][port / 64]) : "r"((uint64_t)port % 64) : "memory", "cc");
}

static inline void bind_handler(uint32_t port, uint32_t cpu, event_handler handler) {
  struct evtchn_unmask arg = {.port = port};
  handlers[port] = handler;
  assign(port, cpu);
  HYPERVISOR_event_channel_op(EVTCHNOP_unmask, &arg);
}

static inline uint32_t bind_ipi(uint32_t cpu, event_handler handler) {
  struct evtchn_bind_ipi arg = {.vcpu = cpu};
  if (HYPERVISOR_event_channel_op(EVTCHNOP_bind_ipi, &arg)) return 0;
  if (handler) bind_handler(arg.port, cpu, handler);
  return arg.port;
}

static inline long send(uint32_t port) {
  struct evtchn_send arg = {.port = port};
  return HYPERVISOR_event_channel_op(EVTCHNOP_send, &arg);
}

static inline long vcpu_op(int cmd, unsigned cpu) { return HYPERVISOR_vcpu_op(cmd, cpu, 0); }

/* Errands. */
static inline void start(unsigned cpu, errand fn) {
  barrier();
  cpus[cpu].fn = fn;
}

static inline long finish(unsigned cpu) {
  while (cpus[cpu].fn) yield();
  barrier();
  return cpus[cpu].result;
}

static inline long run(unsigned cpu, errand fn) {
  start(cpu, fn);
  return finish(cpu);
}

static void other_main(void) {
  struct cpu *cpu = this_cpu();
  local_enable();
  for (;;) {
    errand fn = cpu->fn;
    if (fn) {
      fn();
      barrier();
      cpu->fn = 0;
    } else yield();
  }
}

/* A context in which a vcpu begins with other_main: the tables of vcpu 0, kernel mode, not yet online. */
static struct vcpu_guest_context context;

static inline void fill_context(unsigned cpu) {
  const struct trap_info traps[] = {
      {.vector = 0, .cs = FLAT_KERNEL_CS, .address = (uint64_t)trap_0},
      {.vector = 6, .cs = FLAT_KERNEL_CS, .address = (uint64_t)trap_6},
      {.vector = 13, .cs = FLAT_KERNEL_CS, .address = (uint64_t)trap_13},
      {.vector = 14, .cs = FLAT_KERNEL_CS, .address = (uint64_t)trap_14},
  };
  memset(&context, 0, sizeof context);
  for (unsigned i = 0; i < 4; i++) context.trap_ctxt[traps[i].vector] = traps[i];
  context.flags = VGCF_in_kernel;
  context.user_regs.rip = (uint64_t)other_main;
  context.user_regs.rsp = (uint64_t)&stacks[cpu][sizeof stacks[cpu] - 8];
  context.user_regs.rflags = 0x200;
  context.user_regs.cs = FLAT_KERNEL_CS;
  context.user_regs.ss = FLAT_KERNEL_SS;
  context.kernel_ss = FLAT_KERNEL_SS;
  context.kernel_sp = (uint64_t)&stacks[cpu][sizeof stacks[cpu]];
  context.ctrlreg[3] = mfn_of((void *)start_info->pt_base) * PAGE_SIZE;
  context.event_callback_eip = (uint64_t)smp_event_entry;
  context.gs_base_kernel = (uint64_t)&cpus[cpu];
}

static inline void smp_init(void) {
  struct callback_register callback = {.type = CALLBACKTYPE_event, .address = (uint64_t)smp_event_entry};
  for (unsigned i = 0; i < CPUS; i++) {
    cpus[i].id = i;
    cpus[i].info = &shared_info.vcpu_info[i];
  }
  hypercall2(__HYPERVISOR_set_segment_base, SEGBASE_GS_KERNEL, &cpus[0]);
  HYPERVISOR_callback_op(CALLBACKOP_register, &callback);
  vcpu_op(VCPUOP_stop_periodic_timer, 0);
}

static inline long bring_up(unsigned cpu) {
  fill_context(cpu);
  long error = HYPERVISOR_vcpu_op(VCPUOP_initialise, cpu, &context);
  return error ? error : vcpu_op(VCPUOP_up, cpu);
}

#endif
