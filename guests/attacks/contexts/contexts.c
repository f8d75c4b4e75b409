/* contexts: brings up a second vcpu with register contexts that must not be: addresses that are not canonical or in the
 * hypervisor's range, selectors of its own, page tables and descriptor tables in frames of others or of another type, debug
 * registers that watch the hypervisor, counts past every edge; and names vcpus that aren't. A broken hypervisor runs a vcpu with
 * somebody else's page tables, or loads what its processor then faults at. */
#define NAME "contexts"
#include "../attack.h"

#include <xen/vcpu.h>

static struct vcpu_guest_context context;
static volatile uint64_t plain[512] PAGE_ALIGNED;
static char stack[4096] __attribute__((aligned(16)));

static void good(void) {
  memset(&context, 0, sizeof context);
  context.flags = VGCF_in_kernel | VGCF_online;
  context.user_regs.rip = (uint64_t)hypercall_page;
  context.user_regs.rsp = (uint64_t)stack + sizeof stack;
  context.user_regs.cs = FLAT_KERNEL_CS;
  context.user_regs.ss = FLAT_KERNEL_SS;
  context.user_regs.rflags = 0x202;
  context.kernel_ss = FLAT_KERNEL_SS;
  context.kernel_sp = context.user_regs.rsp;
  context.ctrlreg[3] = frame(mfn_of((void *)start_info->pt_base), 0);
}

static long initialise(uint64_t vcpu) { return HYPERVISOR_vcpu_op(VCPUOP_initialise, vcpu, &context); }

#define TRY(what, ...)            \
  do {                            \
    good();                       \
    __VA_ARGS__;                  \
    show(what, initialise(1));    \
  } while (0)

void guest_main(void) {
  static const uint64_t vcpus[] = {0, 2, 31, 32, 0x7fffffff, 0x80000000, 0xffffffff};
  find_frames();
  good();
  for (unsigned i = 0; i < sizeof vcpus / sizeof *vcpus; i++)
    printf(NAME ": vcpu 0x%lx: initialise %ld, up %ld, is_up %ld, runstate %ld\n", vcpus[i], initialise(vcpus[i]),
           vcpus[i] ? HYPERVISOR_vcpu_op(VCPUOP_up, vcpus[i], 0) : 0, HYPERVISOR_vcpu_op(VCPUOP_is_up, vcpus[i], 0),
           HYPERVISOR_vcpu_op(VCPUOP_get_runstate_info, vcpus[i], stack));
  show("up before it is initialised", HYPERVISOR_vcpu_op(VCPUOP_up, 1, 0));
  show("is_up", HYPERVISOR_vcpu_op(VCPUOP_is_up, 1, 0));
  show("down", HYPERVISOR_vcpu_op(VCPUOP_down, 1, 0));
  TRY("page table of another domain", context.ctrlreg[3] = frame(foreign, 0));
  TRY("page table in a frame of nobody's", context.ctrlreg[3] = frame(unowned, 0));
  TRY("page table of the hypervisor's", context.ctrlreg[3] = frame(hypervisors, 0));
  TRY("page table in frame 0", context.ctrlreg[3] = 0);
  TRY("page table past the end of memory", context.ctrlreg[3] = frame(0xfffff, 0));
  TRY("page table far past it", context.ctrlreg[3] = 0x7ffffffffffff000);
  TRY("page table of level 1", context.ctrlreg[3] = frame(table_of(plain, 1), 0));
  TRY("page table that is a page", context.ctrlreg[3] = frame(mfn_of(plain), 0));
  TRY("user table of another domain", context.ctrlreg[1] = foreign << 12 | 1);
  TRY("user table that is a page", context.ctrlreg[1] = mfn_of(plain) << 12 | 1);
  TRY("GDT of another domain", context.gdt_ents = 512, context.gdt_frames[0] = foreign);
  TRY("GDT in a writable page", context.gdt_ents = 512, context.gdt_frames[0] = mfn_of(plain));
  TRY("GDT of too many entries", context.gdt_ents = FIRST_RESERVED_GDT_ENTRY + 1);
  TRY("GDT of 2^32 entries", context.gdt_ents = 1ul << 32);
  TRY("GDT of 2^64 entries", context.gdt_ents = -1);
  TRY("LDT in the hypervisor", context.ldt_ents = 1, context.ldt_base = HYPERVISOR_VIRT_START);
  TRY("LDT not canonical", context.ldt_ents = 1, context.ldt_base = NOT_CANONICAL);
  TRY("LDT not aligned", context.ldt_ents = 1, context.ldt_base = (uint64_t)plain + 8);
  TRY("LDT of 8193 entries", context.ldt_ents = 8193, context.ldt_base = (uint64_t)plain);
  TRY("rip not canonical", context.user_regs.rip = NOT_CANONICAL);
  TRY("kernel_sp not canonical", context.kernel_sp = NOT_CANONICAL);
  TRY("event callback not canonical", context.event_callback_eip = NOT_CANONICAL);
  TRY("failsafe callback not canonical", context.failsafe_callback_eip = NOT_CANONICAL);
  TRY("syscall callback not canonical", context.syscall_callback_eip = NOT_CANONICAL);
  TRY("trap handler not canonical", context.trap_ctxt[3] = (struct trap_info){.vector = 3, .cs = FLAT_KERNEL_CS, .address = NOT_CANONICAL});
  TRY("FS not canonical", context.fs_base = NOT_CANONICAL);
  TRY("GS of the kernel not canonical", context.gs_base_kernel = NOT_CANONICAL);
  TRY("GS of the user not canonical", context.gs_base_user = NOT_CANONICAL);
  TRY("all together in the hypervisor, with its selectors, IOPL and NT",
      context.flags = VGCF_in_kernel, context.user_regs.rip = context.kernel_sp = context.event_callback_eip = context.syscall_callback_eip = HYPERVISOR_VIRT_START,
      context.user_regs.cs = 0xe008, context.user_regs.ss = 0xe010, context.kernel_ss = 0xe010, context.user_regs.rflags = 0x7202,
      context.debugreg[0] = HYPERVISOR_VIRT_START, context.debugreg[7] = 1);
  show("again", initialise(1));
  show("is_up", HYPERVISOR_vcpu_op(VCPUOP_is_up, 1, 0));
  printf(NAME ": done\n");
}
