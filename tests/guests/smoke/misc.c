/* Small hypercalls, those that only a control domain may use, gaps in the numbering, and multicall. */
#include "smoke.h"

#include <xen/domctl.h>
#include <xen/nmi.h>
#include <xen/physdev.h>
#include <xen/sched.h>
#include <xen/sysctl.h>
#include <xen/version.h>

static void assists(void) {
  show("vm_assist enable writable_pagetables", HYPERVISOR_vm_assist(VMASST_CMD_enable, VMASST_TYPE_writable_pagetables));
  show("vm_assist disable writable_pagetables", HYPERVISOR_vm_assist(VMASST_CMD_disable, VMASST_TYPE_writable_pagetables));
  show("vm_assist enable 4gb_segments", HYPERVISOR_vm_assist(VMASST_CMD_enable, VMASST_TYPE_4gb_segments));
  show("vm_assist enable pae_extended_cr3", HYPERVISOR_vm_assist(VMASST_CMD_enable, VMASST_TYPE_pae_extended_cr3));
  show("vm_assist enable architectural_iopl", HYPERVISOR_vm_assist(VMASST_CMD_enable, VMASST_TYPE_architectural_iopl));
  show("vm_assist disable architectural_iopl", HYPERVISOR_vm_assist(VMASST_CMD_disable, VMASST_TYPE_architectural_iopl));
  show("vm_assist enable runstate_update_flag", HYPERVISOR_vm_assist(VMASST_CMD_enable, VMASST_TYPE_runstate_update_flag));
  show("vm_assist enable m2p_strict", HYPERVISOR_vm_assist(VMASST_CMD_enable, VMASST_TYPE_m2p_strict));
  show("vm_assist disable m2p_strict", HYPERVISOR_vm_assist(VMASST_CMD_disable, VMASST_TYPE_m2p_strict));
  show("vm_assist enable 31", HYPERVISOR_vm_assist(VMASST_CMD_enable, 31));
  show("vm_assist enable 64", HYPERVISOR_vm_assist(VMASST_CMD_enable, 64));
  show("vm_assist command 2", HYPERVISOR_vm_assist(2, VMASST_TYPE_writable_pagetables));
}

static void processor(void) {
  show("fpu_taskswitch set", hypercall1(__HYPERVISOR_fpu_taskswitch, 1));
  show("fpu_taskswitch clear", hypercall1(__HYPERVISOR_fpu_taskswitch, 0));
  show("set_debugreg 0", hypercall2(__HYPERVISOR_set_debugreg, 0, 0x1000));
  show_hex("get_debugreg 0", (unsigned long)hypercall1(__HYPERVISOR_get_debugreg, 0));
  show("set_debugreg 0 to an address of Xen's", hypercall2(__HYPERVISOR_set_debugreg, 0, HYPERVISOR_VIRT_START));
  show("set_debugreg 4", hypercall2(__HYPERVISOR_set_debugreg, 4, 0));
  show("set_debugreg 8", hypercall2(__HYPERVISOR_set_debugreg, 8, 0));
  show("get_debugreg 8", hypercall1(__HYPERVISOR_get_debugreg, 8));
  show("set_debugreg 7", hypercall2(__HYPERVISOR_set_debugreg, 7, 0));
  show_hex("get_debugreg 6", (unsigned long)hypercall1(__HYPERVISOR_get_debugreg, 6));
  show("set_segment_base FS", hypercall2(__HYPERVISOR_set_segment_base, SEGBASE_FS, 0x1000));
  show("set_segment_base GS of the user", hypercall2(__HYPERVISOR_set_segment_base, SEGBASE_GS_USER, 0x2000));
  show("set_segment_base GS of the kernel", hypercall2(__HYPERVISOR_set_segment_base, SEGBASE_GS_KERNEL, 0x3000));
  show("set_segment_base GS selector", hypercall2(__HYPERVISOR_set_segment_base, SEGBASE_GS_USER_SEL, 0));
  show("set_segment_base 4", hypercall2(__HYPERVISOR_set_segment_base, 4, 0));
  show("set_segment_base not canonical", hypercall2(__HYPERVISOR_set_segment_base, SEGBASE_FS, 0x800000000000));
}

static void devices(void) {
  struct physdev_set_iopl iopl = {.iopl = 1};
  show("set_iopl 1", hypercall2(__HYPERVISOR_physdev_op, PHYSDEVOP_set_iopl, &iopl));
  iopl.iopl = 4;
  show("set_iopl 4", hypercall2(__HYPERVISOR_physdev_op, PHYSDEVOP_set_iopl, &iopl));
  iopl.iopl = 0;
  show("set_iopl 0", hypercall2(__HYPERVISOR_physdev_op, PHYSDEVOP_set_iopl, &iopl));
  struct physdev_set_iobitmap bitmap = {.bitmap = 0, .nr_ports = 0};
  show("set_iobitmap none", hypercall2(__HYPERVISOR_physdev_op, PHYSDEVOP_set_iobitmap, &bitmap));
  bitmap.nr_ports = 65537;
  show("set_iobitmap of 65537 ports", hypercall2(__HYPERVISOR_physdev_op, PHYSDEVOP_set_iobitmap, &bitmap));
  struct physdev_apic apic = {.apic_physbase = 0xfec00000};
  show("apic_read", hypercall2(__HYPERVISOR_physdev_op, PHYSDEVOP_apic_read, &apic));
  struct physdev_irq_status_query query = {.irq = 1};
  show("irq_status_query 1", hypercall2(__HYPERVISOR_physdev_op, PHYSDEVOP_irq_status_query, &query));
  struct physdev_eoi eoi = {.irq = 1};
  show("eoi 1", hypercall2(__HYPERVISOR_physdev_op, PHYSDEVOP_eoi, &eoi));
  show("physdev_op 99", hypercall2(__HYPERVISOR_physdev_op, 99, &eoi));
  struct xennmi_callback nmi = {.handler_address = (uint64_t)hypercall_page};
  show("nmi register", hypercall2(__HYPERVISOR_nmi_op, XENNMI_register_callback, &nmi));
  show("nmi unregister", hypercall2(__HYPERVISOR_nmi_op, XENNMI_unregister_callback, 0));
  show("nmi 2", hypercall2(__HYPERVISOR_nmi_op, 2, 0));
}

static void privileged(void) {
  static struct xen_domctl domctl;
  static struct xen_sysctl sysctl;
  domctl.cmd = XEN_DOMCTL_pausedomain;
  domctl.interface_version = XEN_DOMCTL_INTERFACE_VERSION;
  domctl.domain = DOMID_SELF;
  show("domctl pausedomain of itself", hypercall1(__HYPERVISOR_domctl, &domctl));
  domctl.domain = 0;
  show("domctl pausedomain of domain 0", hypercall1(__HYPERVISOR_domctl, &domctl));
  domctl.cmd = XEN_DOMCTL_createdomain;
  show("domctl createdomain", hypercall1(__HYPERVISOR_domctl, &domctl));
  domctl.cmd = XEN_DOMCTL_getdomaininfo;
  show("domctl getdomaininfo of domain 0", hypercall1(__HYPERVISOR_domctl, &domctl));
  domctl.interface_version = 1;
  show("domctl of another version", hypercall1(__HYPERVISOR_domctl, &domctl));
  show("domctl from nowhere", hypercall1(__HYPERVISOR_domctl, NOWHERE));
  sysctl.cmd = XEN_SYSCTL_physinfo;
  sysctl.interface_version = XEN_SYSCTL_INTERFACE_VERSION;
  show("sysctl physinfo", hypercall1(__HYPERVISOR_sysctl, &sysctl));
  sysctl.interface_version = 1;
  show("sysctl of another version", hypercall1(__HYPERVISOR_sysctl, &sysctl));
  show("update_va_mapping_otherdomain of domain 0",
       hypercall4(__HYPERVISOR_update_va_mapping_otherdomain, &sysctl, 0, 0, 0));
  show("console_io read", HYPERVISOR_console_io(CONSOLEIO_read, 16, &sysctl));
  show("console_io 2", HYPERVISOR_console_io(2, 16, &sysctl));
}

static void gaps(void) {
  show("hypercall 11", hypercall0(11));
  show("hypercall 43", hypercall0(43));
  show("hypercall 47", hypercall0(47));
  show("hypercall 56", hypercall0(56));
  show("hypercall 127", hypercall0(127));
  show("hypercall tmem_op", hypercall0(__HYPERVISOR_tmem_op));
}

static void multicall(void) {
  static struct multicall_entry calls[4];
  calls[0] = (struct multicall_entry){.op = __HYPERVISOR_xen_version, .args = {XENVER_version}};
  calls[1] = (struct multicall_entry){.op = __HYPERVISOR_sched_op, .args = {SCHEDOP_yield}};
  calls[2] = (struct multicall_entry){.op = 11};
  calls[3] = (struct multicall_entry){.op = __HYPERVISOR_xen_version, .args = {XENVER_pagesize}};
  show("multicall", hypercall2(__HYPERVISOR_multicall, calls, 4));
  show_hex("multicall version", calls[0].result);
  show("multicall yield", (long)calls[1].result);
  show("multicall gap", (long)calls[2].result);
  show("multicall pagesize", (long)calls[3].result);
  show("multicall of none", hypercall2(__HYPERVISOR_multicall, calls, 0));
  show("multicall from nowhere", hypercall2(__HYPERVISOR_multicall, NOWHERE, 1));
  calls[0] = (struct multicall_entry){.op = __HYPERVISOR_multicall, .args = {(uint64_t)&calls[1], 1}};
  show("multicall in a multicall", hypercall2(__HYPERVISOR_multicall, calls, 1));
  show("its result", (long)calls[0].result);
}

void smoke_misc(void) {
  assists();
  processor();
  devices();
  privileged();
  gaps();
  multicall();
}
