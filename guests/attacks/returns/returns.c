/* returns: goes back from handlers with frames that must not work: instruction pointers and stacks that are not canonical or in
 * the hypervisor's range, selectors of the hypervisor's, null or of nothing, flags with IOPL, NT, VM and interrupts off; by the
 * hypercall and by the instruction, to kernel and to user mode; and names such addresses and selectors as handlers. A broken
 * hypervisor runs the guest with a privilege that it must not have, or falls over the frame itself. At its end, the kernel's stack
 * is one that nothing can be put on: the domain must be crashed, alone. */
#define NAME "returns"
#include "../attack.h"

#include <xen/callback.h>

static char kernel_stack[8192] __attribute__((aligned(16)));
static char other_stack[4096] __attribute__((aligned(16)));
static struct regs came;

static int leave(struct regs *regs) {
  came = *regs;
  user_leave();
}

/* `land` says so by #UD; `step` has two instructions, for the trap flag. */
__asm__(".pushsection .text\n"
        "land: ud2\n"
        "step: nop; nop; ud2\n"
        /* RBX: selector for CS, RBP: flags, R12: address; a frame for iretq on the present stack. */
        "by_iretq: mov %rsp, %rax; pushq %r13; push %rax; push %rbp; push %rbx; push %r12; iretq\n"
        "by_lretq: push %rbx; push %r12; lretq\n"
        "by_popf: push %rbp; popfq; ud2\n"
        ".popsection");
extern char land[], step[], by_iretq[], by_lretq[], by_popf[];

static void print(const char *what, uint64_t rip) {
  const char *where = came.rip == rip ? "where it was to go" : came.rip == (uint64_t)land ? "landed" : "elsewhere";
  printf(NAME ": %s: vector %lu, error 0x%lx, %s, cs 0x%lx, ss 0x%lx, flags 0x%lx\n", what, came.vector, came.error, where,
         came.cs & 0xffff, came.ss & 0xffff, came.rflags & 0x3f7d00);
}

static void go(const char *what, uint64_t rip, uint64_t cs, uint64_t rflags, uint64_t rsp, uint64_t ss) {
  struct iret_context frame = {.rip = rip, .cs = cs, .rflags = rflags, .rsp = rsp, .ss = ss};
  user_enter(&frame);
  events_enable();
  print(what, rip);
}

#define STACK ((uint64_t)other_stack + sizeof other_stack)
#define USER FLAT_USER_CS
#define KERNEL (FLAT_KERNEL_CS & ~3)
#define FLAGS 0x202

static void pointers(uint64_t cs, const char *mode) {
  printf(NAME ": -- to %s mode\n", mode);
  go("as it should be", (uint64_t)land, cs, FLAGS, STACK, FLAT_USER_SS);
  go("rip not canonical", NOT_CANONICAL, cs, FLAGS, STACK, FLAT_USER_SS);
  go("rip not canonical, upper", 0xffff7fffffffffff, cs, FLAGS, STACK, FLAT_USER_SS);
  go("rip of the hypervisor's table", HYPERVISOR_VIRT_START, cs, FLAGS, STACK, FLAT_USER_SS);
  go("rip in the hypervisor", 0xffff82d040200000, cs, FLAGS, STACK, FLAT_USER_SS);
  go("rip not mapped", 0x1000, cs, FLAGS, STACK, FLAT_USER_SS);
}

static void selectors(void) {
  static const uint16_t code[] = {0x0, 0x3, 0x8, 0xb, 0x10, 0x13, 0xe008, 0xe00b, 0xe010, 0xe013, 0xe02b, 0xe033, 0x7, 0xf, 0xe037, 0x1003, 0xfffb, 0xffff};
  static const uint16_t stack[] = {0x0, 0x3, 0x8, 0xb, 0xe008, 0xe010, 0xe013, 0xe02b, 0xe033, 0x7, 0xf, 0xe02f, 0x1003, 0xfffb, 0xffff};
  for (unsigned i = 0; i < sizeof code / sizeof *code; i++) {
    char what[32];
    what[0] = 0;
    printf(NAME ": cs 0x%x\n", code[i]);
    go(what, (uint64_t)land, code[i], FLAGS, STACK, FLAT_USER_SS);
  }
  for (unsigned i = 0; i < sizeof stack / sizeof *stack; i++) {
    printf(NAME ": ss 0x%x\n", stack[i]);
    go("to user mode", (uint64_t)land, USER, FLAGS, STACK, stack[i]);
    go("to kernel mode", (uint64_t)land, KERNEL, FLAGS, STACK, stack[i]);
  }
}

static void flags(uint64_t cs) {
  static const uint64_t values[] = {0,        0x2,      0x1202,   0x3202,   0x4202,        0x20202,      0x40202,
                                    0x80202,  0x100202, 0x200202, 0x10202,  0xffffffffffc00002, 0x3ffcd7 & ~0x100ul};
  for (unsigned i = 0; i < sizeof values / sizeof *values; i++) {
    printf(NAME ": flags 0x%lx\n", values[i]);
    go("", (uint64_t)land, cs, values[i], STACK, FLAT_USER_SS);
  }
  go("trap flag", (uint64_t)step, cs, 0x302, STACK, FLAT_USER_SS);
}

static void by_instruction(void) {
  static const struct { const char *what; void *code; uint64_t cs, rflags, rip, ss; } tries[] = {
      {"iretq as it should be", by_iretq, USER, FLAGS, (uint64_t)land, FLAT_USER_SS},
      {"iretq to the hypervisor's code segment", by_iretq, 0xe008, FLAGS, (uint64_t)land, FLAT_USER_SS},
      {"iretq to it at ring 3", by_iretq, 0xe00b, FLAGS, (uint64_t)land, FLAT_USER_SS},
      {"iretq with the hypervisor's stack segment", by_iretq, USER, FLAGS, (uint64_t)land, 0xe010},
      {"iretq to null", by_iretq, 3, FLAGS, (uint64_t)land, FLAT_USER_SS},
      {"iretq with NT and IOPL", by_iretq, USER, 0x7202, (uint64_t)land, FLAT_USER_SS},
      {"iretq without interrupts", by_iretq, USER, 0x2, (uint64_t)land, FLAT_USER_SS},
      {"iretq not canonical", by_iretq, USER, FLAGS, NOT_CANONICAL, FLAT_USER_SS},
      {"lretq as it should be", by_lretq, USER, FLAGS, (uint64_t)land, 0},
      {"lretq to the hypervisor's code segment", by_lretq, 0xe008, FLAGS, (uint64_t)land, 0},
      {"lretq to it at ring 3", by_lretq, 0xe00b, FLAGS, (uint64_t)land, 0},
      {"lretq to a data segment", by_lretq, 0xe02b, FLAGS, (uint64_t)land, 0},
      {"popf with IOPL", by_popf, 0, 0x3202, 0, 0},
      {"popf with interrupts off", by_popf, 0, 0x2, 0, 0},
      {"popf with VM", by_popf, 0, 0x20202, 0, 0},
      {"popf with all", by_popf, 0, 0xfffffffffffffeff & ~0x40000ul, 0, 0},
  };
  for (unsigned i = 0; i < sizeof tries / sizeof *tries; i++) {
    static struct iret_context frame;
    frame = (struct iret_context){.rip = (uint64_t)tries[i].code, .cs = KERNEL, .rflags = FLAGS, .rsp = STACK, .ss = FLAT_KERNEL_SS};
    /* The registers live through the hypercall; user_leave restores them. */
    register uint64_t rip __asm__("r12") = tries[i].rip;
    register uint64_t ss __asm__("r13") = tries[i].ss;
    __asm__ volatile("push %%rbp; mov %[flags], %%rbp; call user_enter; pop %%rbp"
                     :
                     : "D"(&frame), "b"(tries[i].cs), [flags] "a"(tries[i].rflags), "r"(rip), "r"(ss)
                     : "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "r14", "r15", "memory", "cc");
    __asm__ volatile("cld");
    events_enable();
    print(tries[i].what, tries[i].rip);
  }
}

static void handlers(void) {
  static const uint16_t code[] = {0, 3, 8, 0x10, 0xe008, 0xe00b, 0xe010, 0xe02b, 0xe033, 0xffff};
  static const uint64_t addresses[] = {NOT_CANONICAL, 0xffff7fffffffffff, HYPERVISOR_VIRT_START, 0xffff82d040200000, 0x1000, -1ul};
  extern char trap_3[];
  struct trap_info table[2] = {{0}};
  printf(NAME ": trap handlers with cs:");
  for (unsigned i = 0; i < sizeof code / sizeof *code; i++) {
    table[0] = (struct trap_info){.vector = 3, .flags = 3, .cs = code[i], .address = (uint64_t)trap_3};
    printf(" %ld", HYPERVISOR_set_trap_table(table));
    __asm__ volatile("mov %%cs, %0" : "=r"(came.cs));
    struct iret_context frame = {.rip = (uint64_t)land - 0, .cs = KERNEL, .rflags = FLAGS, .rsp = STACK, .ss = FLAT_KERNEL_SS};
    user_enter(&frame);
    printf("/%lx", came.cs & 0xffff);
  }
  printf("\n" NAME ": trap handlers at:");
  for (unsigned i = 0; i < sizeof addresses / sizeof *addresses; i++) {
    table[0] = (struct trap_info){.vector = 0x40, .flags = 3, .cs = FLAT_KERNEL_CS, .address = addresses[i]};
    printf(" %ld", HYPERVISOR_set_trap_table(table));
  }
  for (uint16_t type = 0; type < 8; type++) {
    if (type == CALLBACKTYPE_event || type == CALLBACKTYPE_nmi) continue;
    printf("\n" NAME ": callback %u at:", type);
    for (unsigned i = 0; i < sizeof addresses / sizeof *addresses; i++) {
      struct callback_register cb = {.type = type, .address = addresses[i]};
      printf(" %ld", HYPERVISOR_callback_op(CALLBACKOP_register, &cb));
    }
  }
  printf("\n");
  events_init();
  traps_init();
}

void guest_main(void) {
  show("user base pointer", ext(MMUEXT_NEW_USER_BASEPTR, mfn_of((void *)start_info->pt_base)));
  show("stack_switch", hypercall2(__HYPERVISOR_stack_switch, FLAT_KERNEL_SS, kernel_stack + sizeof kernel_stack));
  for (unsigned vector = 0; vector < 20; vector++) trap_bind(vector, leave);
  pointers(USER, "user");
  pointers(KERNEL, "kernel");
  go("rsp not canonical", (uint64_t)land, USER, FLAGS, NOT_CANONICAL, FLAT_USER_SS);
  go("rsp in the hypervisor", (uint64_t)land, USER, FLAGS, HYPERVISOR_VIRT_START + 64, FLAT_USER_SS);
  selectors();
  flags(USER);
  flags(KERNEL);
  by_instruction();
  handlers();
  for (unsigned vector = 0; vector < 20; vector++) trap_bind(vector, leave);
  show("stack_switch to the hypervisor's selector", hypercall2(__HYPERVISOR_stack_switch, 0xe010, kernel_stack + sizeof kernel_stack));
  go("with that", (uint64_t)land, USER, FLAGS, STACK, FLAT_USER_SS);
  show("stack_switch to the hypervisor's memory", hypercall2(__HYPERVISOR_stack_switch, FLAT_KERNEL_SS, HYPERVISOR_VIRT_START + 4096));
  printf(NAME ": done\n");
  console_drain();
  go("with that", (uint64_t)land, USER, FLAGS, STACK, FLAT_USER_SS);
}
