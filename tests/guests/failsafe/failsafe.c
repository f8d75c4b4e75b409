/* failsafe: loads data segment registers with selectors of its LDT, takes the LDT away, and sleeps, so that the vcpu loses
 * the processor: the hypervisor can't load them again when it comes back, and must enter the failsafe callback with all four in
 * the frame, those that are wrong null by then, events masked if so registered. In kernel mode and in user mode. */
#include <lib.h>

#include <xen/callback.h>
#include <xen/sched.h>

#define LDT_SELECTOR 0xf
#define FLAT_DATA 0x00cff3000000fffful

static PAGE_ALIGNED uint64_t ldt[512];
static PAGE_ALIGNED char user_stack[4096];
static volatile unsigned hits;
static uint64_t frame[11], masked;

/* The selectors are dropped: what is left of the frame is iret's. */
__asm__(".pushsection .text\n"
        "failsafe_entry_here: push %rax; push %rdi; push %rsi; push %rdx; push %r8; push %r9; push %r10\n"
        "lea 56(%rsp), %rdi; call failsafe_hit\n"
        "pop %r10; pop %r9; pop %r8; pop %rdx; pop %rsi; pop %rdi; pop %rax; pop %rcx; pop %r11; add $32, %rsp; push $0\n"
        "jmp hypercall_page + 23 * 32\n"
        "user_loop: mov hits, %eax; test %eax, %eax; jz user_loop; int3\n"
        ".popsection");
extern char failsafe_entry_here[], user_loop[];

void failsafe_hit(const uint64_t *rsp) {
  for (unsigned i = 0; i < 11; i++) frame[i] = rsp[i];
  masked = shared_info.vcpu_info[0].evtchn_upcall_mask;
  hits++;
}

static void selectors(uint16_t now[4]) {
  __asm__("mov %%ds, %0; mov %%es, %1; mov %%fs, %2; mov %%gs, %3" : "=r"(now[0]), "=r"(now[1]), "=r"(now[2]), "=r"(now[3]));
}

static void sleep_a_while(void) {
  struct sched_poll poll = {.timeout = system_time() + 20000000};
  HYPERVISOR_sched_op(SCHEDOP_poll, &poll);
}

static void set_ldt(uint32_t entries) {
  struct mmuext_op op = {.cmd = MMUEXT_SET_LDT, .arg1_linear_addr = entries ? (uint64_t)ldt : 0, .arg2_nr_ents = entries};
  HYPERVISOR_mmuext_op(&op, 1, 0, DOMID_SELF);
}

static void prepare(uint16_t flags) {
  struct callback_register callback = {.type = CALLBACKTYPE_failsafe, .flags = flags, .address = (uint64_t)failsafe_entry_here};
  HYPERVISOR_callback_op(CALLBACKOP_register, &callback);
  set_ldt(2);
  hits = 0;
  memset(frame, 0, sizeof frame);
}

static void report(const char *what) {
  uint16_t now[4];
  selectors(now);
  printf("failsafe: %s: %u times, ds %lx es %lx fs %lx gs %lx, cs 0x%lx, flags 0x%lx, ss 0x%lx, masked %lu; now %x %x %x %x\n", what, hits,
         frame[2], frame[3], frame[4], frame[5], frame[7], frame[8] & 0x3700, frame[10], masked, now[0], now[1], now[2], now[3]);
  __asm__("mov %0, %%ds; mov %0, %%es; mov %0, %%fs; mov %0, %%gs" : : "r"(0));
}

#define KERNEL(what, flags, ...)                                             \
  do {                                                                       \
    prepare(flags);                                                          \
    uint16_t selector = LDT_SELECTOR, flat = FLAT_RING3_DS32;                \
    __asm__ volatile(__VA_ARGS__ : : "r"(selector), "r"(flat));              \
    set_ldt(0);                                                              \
    sleep_a_while();                                                         \
    report(what);                                                            \
  } while (0)

static int at_int3(struct regs *regs) {
  (void)regs;
  user_leave();
}

void guest_main(void) {
  ldt[1] = FLAT_DATA;
  set_page(ldt, mfn_of(ldt) * PAGE_SIZE | _PAGE_PRESENT);
  KERNEL("flat segments", 0, "mov %1, %%ds; mov %1, %%es; mov %1, %%fs; mov %1, %%gs");
  KERNEL("ds", 0, "mov %0, %%ds");
  KERNEL("es, events to be masked", CALLBACKF_mask_events, "mov %0, %%es");
  KERNEL("fs, and a flat gs", 0, "mov %0, %%fs; mov %1, %%gs");
  KERNEL("gs", 0, "mov %0, %%gs");
  KERNEL("all of them", 0, "mov %0, %%ds; mov %0, %%es; mov %0, %%fs; mov %0, %%gs");

  /* User mode, whose table is the kernel's, waits for the callback to have been. */
  struct mmuext_op table = {.cmd = MMUEXT_NEW_USER_BASEPTR, .arg1_mfn = mfn_of((void *)start_info->pt_base)};
  HYPERVISOR_mmuext_op(&table, 1, 0, DOMID_SELF);
  trap_bind(TRAP_int3, at_int3);
  uint64_t rsp;
  __asm__("mov %%rsp, %0" : "=r"(rsp));
  hypercall2(__HYPERVISOR_stack_switch, FLAT_KERNEL_SS, rsp - 8192);
  prepare(0);
  __asm__ volatile("mov %0, %%es" : : "r"((uint16_t)LDT_SELECTOR));
  set_ldt(0);
  struct iret_context context = {.rip = (uint64_t)user_loop, .cs = FLAT_USER_CS, .rflags = 0x202, .rsp = (uint64_t)user_stack + 4096, .ss = FLAT_USER_SS};
  user_enter(&context);
  events_enable();
  report("es in user mode");
}
