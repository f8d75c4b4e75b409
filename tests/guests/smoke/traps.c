/* Trap table, callbacks, descriptor tables, and the exceptions and privileged instructions of the kernel itself. */
#include "smoke.h"

#include <xen/callback.h>

static volatile uint64_t last_vector, last_error, skip;

/* Remembers the exception and goes on behind the instruction, whose length the thrower gave: 0 for int3 only, which has
 * been executed by then. */
static int skipping(struct regs *regs) {
  if (skip == 0 && regs->vector != TRAP_int3) return 0;
  last_vector = regs->vector;
  last_error = regs->error;
  regs->rip += skip;
  return 1;
}

#define RAISE(what, length, assembly, ...)                                           \
  do {                                                                               \
    last_vector = 999, last_error = 0, skip = length;                                \
    __asm__ volatile(assembly __VA_ARGS__);                                          \
    printf("smoke: %s: vector %lu, error 0x%lx\n", what, last_vector, last_error);   \
  } while (0)

static uint64_t gdt[512] PAGE_ALIGNED;

static void tables(void) {
  uint64_t mfn = mfn_of(gdt);
  show("set_gdt of a writable page", hypercall2(__HYPERVISOR_set_gdt, &mfn, 512));
  set_page(gdt, mfn * PAGE_SIZE | _PAGE_PRESENT);
  show("set_gdt of 512 entries", hypercall2(__HYPERVISOR_set_gdt, &mfn, 512));
  show("map it writable then", set_page(gdt, mfn * PAGE_SIZE | _PAGE_PRESENT | _PAGE_RW));
  /* A flat data segment of DPL 3, then one of DPL 0, a call gate, a code segment of DPL 3. */
  show("update_descriptor", hypercall2(__HYPERVISOR_update_descriptor, mfn * PAGE_SIZE + 8, 0x00cff3000000ffff));
  show("update_descriptor of DPL 0", hypercall2(__HYPERVISOR_update_descriptor, mfn * PAGE_SIZE + 16, 0x00cf93000000ffff));
  show("what became of DPL 0", (long)(gdt[2] >> 45 & 3));
  show("update_descriptor to a call gate", hypercall2(__HYPERVISOR_update_descriptor, mfn * PAGE_SIZE + 24, 0x0000ec0000080000));
  show("update_descriptor of code", hypercall2(__HYPERVISOR_update_descriptor, mfn * PAGE_SIZE + 24, 0x00affb000000ffff));
  show("update_descriptor, not aligned", hypercall2(__HYPERVISOR_update_descriptor, mfn * PAGE_SIZE + 4, 0));
  uint64_t limit;
  __asm__ volatile("lsl %1, %0" : "=r"(limit) : "r"(8ul | 3));
  show_hex("limit of the new segment", limit);
  show("set_gdt of none", hypercall2(__HYPERVISOR_set_gdt, 0, 0));
  show("set_gdt of too many", hypercall2(__HYPERVISOR_set_gdt, &mfn, FIRST_RESERVED_GDT_ENTRY + 1));
  show("map it writable now", set_page(gdt, mfn * PAGE_SIZE | _PAGE_PRESENT | _PAGE_RW));
}

static void callbacks(void) {
  struct callback_register cb = {.type = CALLBACKTYPE_failsafe, .address = 0x800000000000};
  show("callback_op register, not canonical", HYPERVISOR_callback_op(CALLBACKOP_register, &cb));
  cb.type = 99;
  cb.address = (uint64_t)hypercall_page;
  show("callback_op register of type 99", HYPERVISOR_callback_op(CALLBACKOP_register, &cb));
  cb.type = CALLBACKTYPE_sysenter;
  show("callback_op register sysenter", HYPERVISOR_callback_op(CALLBACKOP_register, &cb));
  cb.type = CALLBACKTYPE_syscall32;
  show("callback_op register syscall32", HYPERVISOR_callback_op(CALLBACKOP_register, &cb));
  cb.type = CALLBACKTYPE_nmi;
  show("callback_op register nmi", HYPERVISOR_callback_op(CALLBACKOP_register, &cb));
  struct callback_unregister off = {.type = CALLBACKTYPE_event};
  show("callback_op unregister event", HYPERVISOR_callback_op(CALLBACKOP_unregister, &off));
  off.type = CALLBACKTYPE_nmi;
  show("callback_op unregister nmi", HYPERVISOR_callback_op(CALLBACKOP_unregister, &off));
  show("callback_op 2", HYPERVISOR_callback_op(2, &off));
  show("callback_op from nowhere", HYPERVISOR_callback_op(CALLBACKOP_register, NOWHERE));
  show("set_trap_table from nowhere", HYPERVISOR_set_trap_table(NOWHERE));
  show("stack_switch", hypercall2(__HYPERVISOR_stack_switch, FLAT_KERNEL_SS, 0x1000));
  show("stack_switch to a kernel selector", hypercall2(__HYPERVISOR_stack_switch, 0x10, 0x1000));
}

static void exceptions(void) {
  for (unsigned vector = 0; vector < 20; vector++)
    if (vector != TRAP_page_fault) trap_bind(vector, skipping);
  RAISE("ud2", 2, "ud2");
  RAISE("int3", 0, "int3");
  RAISE("int $3", 0, "int $3");
  RAISE("int $0x80 without a handler", 2, "int $0x80");
  RAISE("division by zero", 2, "xor %%edx, %%edx; xor %%ecx, %%ecx; div %%ecx", : : : "eax", "ecx", "edx", "cc");
  RAISE("hlt", 1, "hlt");
  RAISE("cli", 1, "cli");
  RAISE("sti", 1, "sti");
  RAISE("in from port 0x80", 2, "in $0x80, %%al", : : : "eax");
  RAISE("invd", 2, "invd");
  RAISE("wbinvd", 2, "wbinvd");
  RAISE("lgdt", 3, "lgdt (%%rax)", : : "a"(gdt));
  RAISE("load of a bad selector", 2, "mov %%eax, %%ds", : : "a"(0x1003));
  RAISE("load of a kernel selector", 2, "mov %%eax, %%ds", : : "a"(0xe008));
  RAISE("an access that isn't canonical", 2, "movb (%%rax), %%al", : : "a"(0x800000000000) : );
  RAISE("rdmsr of one that isn't", 2, "rdmsr", : : "c"(0x12345678) : "eax", "edx");
  RAISE("wrmsr of one that isn't", 2, "wrmsr", : : "c"(0x12345678), "a"(0), "d"(0));
  RAISE("mov from cr3", 3, "mov %%cr3, %%rax", : : : "rax");
  RAISE("mov from cr8", 4, "mov %%cr8, %%rax", : : : "rax");
  RAISE("SSE after clts", 3, "clts; xorps %%xmm0, %%xmm0", : : );
  uint64_t cr0, cr4;
  __asm__ volatile("mov %%cr0, %0; mov %%cr4, %1" : "=r"(cr0), "=r"(cr4));
  show_hex("cr0, TS cleared", cr0 & ~8ul);
  hypercall1(__HYPERVISOR_fpu_taskswitch, 1);
  RAISE("SSE with TS set", 3, "xorps %%xmm0, %%xmm0", : : );
  hypercall1(__HYPERVISOR_fpu_taskswitch, 0);
}

static void cpuid(const char *what, int forced, uint32_t leaf) {
  uint32_t a = leaf, b, c = 0, d;
  if (forced) __asm__ volatile(".byte 0x0f, 0x0b, 0x78, 0x65, 0x6e; cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  else __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  printf("smoke: cpuid %s: %x %x %x %x\n", what, a, b, c, d);
}

void smoke_traps(void) {
  tables();
  callbacks();
  exceptions();
  cpuid("of Xen's signature, forced", 1, XEN_CPUID_FIRST_LEAF);
  cpuid("of Xen's version, forced", 1, XEN_CPUID_FIRST_LEAF + 1);
  cpuid("of Xen's pages, forced", 1, XEN_CPUID_FIRST_LEAF + 2);
}
