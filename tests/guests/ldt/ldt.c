/* ldt: loads segments of its LDT, good ones and bad, in kernel mode and in user mode; there with a table of its own, which doesn't
 * map the LDT, as of kernels that keep themselves out of their programs' tables: the LDT is the kernel's all the same. Data
 * segments by `mov`, a code segment by the iret hypercall. */
#include <lib.h>

#define DATA 0x00cff3000000fffful
#define CODE 0x00affb000000fffful

/* By entry; 0 is there to be loaded, too. Xen refuses a page with a system descriptor whole, so there is none. */
static PAGE_ALIGNED uint64_t ldt[512] = {DATA, DATA, DATA & ~(3ul << 45), DATA & ~(1ul << 47), CODE, CODE & ~(1ul << 41), CODE & ~(3ul << 45)};
#define ENTRIES 8
static PAGE_ALIGNED uint64_t l4[512], l3[512], l2[512], l1[512];
static PAGE_ALIGNED uint8_t program[4096];
static char stack[8192] __attribute__((aligned(16)));
static struct regs came;

/* mov %ebx, %es; mov %es, %eax; int3 */
static const uint8_t LOAD[] = {0x8e, 0xc3, 0x8c, 0xc0, 0xcc};

static int any(struct regs *regs) {
  came = *regs;
  user_leave();
}

static void enter(uint64_t rip, uint64_t cs) {
  struct iret_context frame = {.rip = rip, .cs = cs, .rflags = 0x202, .rsp = (uint64_t)stack + 4096, .ss = FLAT_USER_SS};
  came = (struct regs){0};
  user_enter(&frame);
  events_enable();
  __asm__ volatile("mov %0, %%es" : : "r"(0));
}

/* The program begins with mov $selector, %ebx. */
static void load(const char *mode, uint64_t rip, uint64_t cs, uint16_t selector) {
  const uint8_t mov[] = {0xbb, (uint8_t)selector, (uint8_t)(selector >> 8), 0, 0};
  memcpy(program, mov, sizeof mov);
  memcpy(program + sizeof mov, LOAD, sizeof LOAD);
  enter(rip, cs);
  printf("ldt: %s loads 0x%x: vector %lu, error 0x%lx, es 0x%lx\n", mode, selector, came.vector, came.error, came.vector == TRAP_int3 ? came.rax & 0xffff : 0);
}

static void hook(uint64_t *table, uint64_t *below) {
  *table = mfn_of(below) * PAGE_SIZE | _PAGE_PRESENT | _PAGE_RW | _PAGE_USER;
  if (below != (uint64_t *)program) set_page(below, mfn_of(below) * PAGE_SIZE | _PAGE_PRESENT);
}

static long ext(uint32_t cmd, uint64_t arg1, uint32_t arg2) {
  struct mmuext_op op = {.cmd = cmd, .arg1_mfn = arg1, .arg2_nr_ents = arg2};
  return HYPERVISOR_mmuext_op(&op, 1, 0, DOMID_SELF);
}

void guest_main(void) {
  for (unsigned vector = 0; vector < 20; vector++) trap_bind(vector, any);
  hypercall2(__HYPERVISOR_stack_switch, FLAT_KERNEL_SS, (uint64_t)stack + sizeof stack);
  hook(l1, (uint64_t *)program);
  hook(l2, l1);
  hook(l3, l2);
  hook(l4, l3);
  set_page(l4, mfn_of(l4) * PAGE_SIZE | _PAGE_PRESENT);
  set_page(ldt, mfn_of(ldt) * PAGE_SIZE | _PAGE_PRESENT);
  printf("ldt: user table: %ld, set_ldt: %ld\n", ext(MMUEXT_NEW_USER_BASEPTR, mfn_of(l4), 0), ext(MMUEXT_SET_LDT, (uint64_t)ldt, ENTRIES));
  for (unsigned entry = 0; entry <= ENTRIES; entry++) {
    load("the kernel", (uint64_t)program, FLAT_KERNEL_CS & ~3, (uint16_t)(entry * 8 + 7));
    load("a program", 0, FLAT_USER_CS, (uint16_t)(entry * 8 + 7));
  }
  load("a program", 0, FLAT_USER_CS, 0xc);
  memset(program, 0xcc, sizeof program);
  for (unsigned entry = 0; entry <= ENTRIES; entry++) {
    enter(0, entry * 8 + 7);
    printf("ldt: to a program with cs 0x%x: vector %lu, error 0x%lx, cs 0x%lx\n", entry * 8 + 7, came.vector, came.error, came.cs & 0xffff);
  }
}
