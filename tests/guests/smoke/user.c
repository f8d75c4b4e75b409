/* User mode: the kernel's own table is registered as the user's (which m2p_strict would not stand: it takes the
 * machine-to-physical table out of the user's); a few instructions run there, come back by syscall, by a
 * page fault and by an exception, each on the kernel's stack. */
#include "smoke.h"

#include <xen/callback.h>

static char kernel_stack[8192] __attribute__((aligned(16)));
static char user_stack[4096] __attribute__((aligned(16)));
static struct regs came;

static void leave(struct regs *regs) {
  came = *regs;
  user_leave();
}

static int user_trap(struct regs *regs) {
  if ((regs->cs & 3) == 3) leave(regs);
  return 0;
}

static void run(const char *what, void *code) {
  struct iret_context frame = {.rip = (uint64_t)code,
                               .cs = FLAT_USER_CS,
                               .rflags = 0x202,
                               .rsp = (uint64_t)user_stack + sizeof user_stack,
                               .ss = FLAT_USER_SS};
  user_enter(&frame);
  events_enable();
  printf("smoke: %s: vector %lu, error 0x%lx, cs 0x%lx, ss 0x%lx, rax %ld, on the kernel's stack %d\n", what, came.vector,
         came.error, came.cs & 0xffff, came.ss, came.rax, came.rsp == (uint64_t)user_stack + sizeof user_stack);
}

__asm__(".pushsection .text\n"
        "user_syscall: mov $42, %eax; syscall; ud2\n"
        "user_ud2: mov $43, %eax; ud2\n"
        "user_fault: mov $44, %eax; movb $1, 0x1000\n"
        "user_hlt: mov $45, %eax; hlt\n"
        "user_int: mov $46, %eax; int $3\n"
        "user_int_kernel: mov $47, %eax; int $14\n"
        ".popsection");
extern char user_syscall[], user_ud2[], user_fault[], user_hlt[], user_int[], user_int_kernel[];

void smoke_user(void) {
  uint64_t l4 = mfn_of((void *)start_info->pt_base);
  struct mmuext_op op = {.cmd = MMUEXT_NEW_USER_BASEPTR, .arg1_mfn = l4};
  show("NEW_USER_BASEPTR", HYPERVISOR_mmuext_op(&op, 1, 0, DOMID_SELF));
  show("stack_switch", hypercall2(__HYPERVISOR_stack_switch, FLAT_KERNEL_SS, kernel_stack + sizeof kernel_stack));
  struct callback_register cb = {.type = CALLBACKTYPE_syscall, .address = (uint64_t)syscall_entry};
  show("callback_op register syscall", HYPERVISOR_callback_op(CALLBACKOP_register, &cb));
  syscall_handler = leave;
  for (unsigned vector = 0; vector < 20; vector++) trap_bind(vector, user_trap);
  run("syscall", user_syscall);
  run("ud2 in user mode", user_ud2);
  run("page fault in user mode", user_fault);
  run("hlt in user mode", user_hlt);
  run("int $3 in user mode", user_int);
  run("int $14 in user mode", user_int_kernel);
}
