/* stepping: sets the trap flag before instructions that the hypervisor carries out for the kernel (cpuid, control and debug registers,
 * ports, hypercalls, a store to a page table) and others beside them: the debug exception must come right behind each, before the next
 * instruction runs, and where an instruction is an exception itself that one must come, and none else. */
#include <lib.h>

#include <xen/physdev.h>

static PAGE_ALIGNED uint8_t code[4096];
static PAGE_ALIGNED uint64_t table[512];
static PAGE_ALIGNED uint8_t stack[8192];
static struct regs came;

static int any(struct regs *regs) {
  came = *regs;
  user_leave();
}

/* xen_version's registers: mov $17, %eax; xor %edi, %edi. Then pushf; orl $0x100, (%rsp); popf. */
static const uint8_t SET_TF[] = {0xb8, 17, 0, 0, 0, 0x31, 0xff, 0x9c, 0x81, 0x0c, 0x24, 0, 1, 0, 0, 0x9d};

static void step(const char *what, const uint8_t *bytes, size_t n) {
  memset(code, 0x90, sizeof code);
  memcpy(code, SET_TF, sizeof SET_TF);
  memcpy(code + sizeof SET_TF, bytes, n);
  hypercall2(__HYPERVISOR_set_debugreg, 6, 0);
  struct iret_context frame = {.rip = (uint64_t)code, .cs = FLAT_KERNEL_CS & ~3, .rflags = 0x202, .rsp = (uint64_t)stack + sizeof stack, .ss = FLAT_KERNEL_SS};
  user_enter(&frame);
  events_enable();
  long from = (long)(came.rip - (uint64_t)code - sizeof SET_TF);
  printf("stepping: %s: vector %lu, error 0x%lx, at %ld, flags 0x%lx, dr6 0x%lx\n", what, came.vector, came.error, from, came.rflags & 0x10100,
         hypercall1(__HYPERVISOR_get_debugreg, 6));
}

#define STEP(what, ...)                      \
  do {                                       \
    const uint8_t bytes[] = {__VA_ARGS__};   \
    step(what, bytes, sizeof bytes);         \
  } while (0)

void guest_main(void) {
  for (unsigned vector = 0; vector < 20; vector++) trap_bind(vector, any);
  STEP("nop", 0x90);
  STEP("pause", 0xf3, 0x90);
  STEP("cpuid", 0x0f, 0xa2);
  STEP("cpuid, forced", 0x0f, 0x0b, 0x78, 0x65, 0x6e, 0x0f, 0xa2);
  STEP("clts", 0x0f, 0x06);
  STEP("wbinvd", 0x0f, 0x09);
  STEP("mov from cr0", 0x0f, 0x20, 0xc0);
  STEP("mov from cr2", 0x0f, 0x20, 0xd0);
  STEP("mov from dr7", 0x0f, 0x21, 0xf8);
  STEP("a hypercall", 0x0f, 0x05);
  STEP("hlt", 0xf4);
  STEP("in without I/O privilege", 0xec);
  struct physdev_set_iopl iopl = {.iopl = 1};
  hypercall2(__HYPERVISOR_physdev_op, PHYSDEVOP_set_iopl, &iopl);
  STEP("in", 0xec);
  STEP("out", 0xee);
  STEP("cli", 0xfa);
  STEP("sti", 0xfb);
  STEP("int3", 0xcc);
  STEP("int1", 0xf1);
  STEP("int 5", 0xcd, 0x05);
  STEP("ud2", 0x0f, 0x0b);
  HYPERVISOR_vm_assist(VMASST_CMD_enable, VMASST_TYPE_writable_pagetables);
  set_page(table, mfn_of(table) * PAGE_SIZE | _PAGE_PRESENT);
  struct mmuext_op pin = {.cmd = MMUEXT_PIN_L1_TABLE, .arg1_mfn = mfn_of(table)};
  HYPERVISOR_mmuext_op(&pin, 1, 0, DOMID_SELF);
  uint32_t at = (uint32_t)(uint64_t)table;
  STEP("a store to a page table", 0x48, 0xc7, 0x04, 0x25, (uint8_t)at, (uint8_t)(at >> 8), (uint8_t)(at >> 16), (uint8_t)(at >> 24), 0x10, 0, 0, 0);
  printf("stepping: it stored 0x%lx\n", table[0]);
}
