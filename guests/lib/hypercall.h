/* Hypercalls through the hypercall page: number in the call's target, arguments in RDI, RSI, RDX, R10, R8, result in RAX
 * (public/arch-x86/xen-x86_64.h). Every argument register is clobbered, as that header allows. */
#ifndef XENOLITH_LIB_HYPERCALL_H
#define XENOLITH_LIB_HYPERCALL_H

#include <stdint.h>
#include <xen/xen.h>

extern char hypercall_page[4096];

static inline long hypercall5(unsigned long number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e) {
  register uint64_t r10 __asm__("r10") = d;
  register uint64_t r8 __asm__("r8") = e;
  long result;
  __asm__ volatile("call *%[entry]"
                   : "=a"(result), "+D"(a), "+S"(b), "+d"(c), "+r"(r10), "+r"(r8)
                   : [entry] "a"(hypercall_page + number * 32)
                   : "memory", "rcx", "r11", "cc");
  return result;
}

/* Arguments may be integers or pointers. */
#define ARG(x) ((uint64_t)(x))
#define hypercall0(n) hypercall5(n, 0, 0, 0, 0, 0)
#define hypercall1(n, a) hypercall5(n, ARG(a), 0, 0, 0, 0)
#define hypercall2(n, a, b) hypercall5(n, ARG(a), ARG(b), 0, 0, 0)
#define hypercall3(n, a, b, c) hypercall5(n, ARG(a), ARG(b), ARG(c), 0, 0)
#define hypercall4(n, a, b, c, d) hypercall5(n, ARG(a), ARG(b), ARG(c), ARG(d), 0)

#define HYPERVISOR_sched_op(cmd, arg) hypercall2(__HYPERVISOR_sched_op, cmd, arg)
#define HYPERVISOR_event_channel_op(cmd, arg) hypercall2(__HYPERVISOR_event_channel_op, cmd, arg)
#define HYPERVISOR_xen_version(cmd, arg) hypercall2(__HYPERVISOR_xen_version, cmd, arg)
#define HYPERVISOR_memory_op(cmd, arg) hypercall2(__HYPERVISOR_memory_op, cmd, arg)
#define HYPERVISOR_vcpu_op(cmd, vcpu, arg) hypercall3(__HYPERVISOR_vcpu_op, cmd, vcpu, arg)
#define HYPERVISOR_set_timer_op(ns) hypercall1(__HYPERVISOR_set_timer_op, ns)
#define HYPERVISOR_console_io(cmd, n, buffer) hypercall3(__HYPERVISOR_console_io, cmd, n, buffer)
#define HYPERVISOR_grant_table_op(cmd, args, n) hypercall3(__HYPERVISOR_grant_table_op, cmd, args, n)
#define HYPERVISOR_mmu_update(reqs, n, done, dom) hypercall4(__HYPERVISOR_mmu_update, reqs, n, done, dom)
#define HYPERVISOR_mmuext_op(ops, n, done, dom) hypercall4(__HYPERVISOR_mmuext_op, ops, n, done, dom)
#define HYPERVISOR_update_va_mapping(va, val, flags) hypercall3(__HYPERVISOR_update_va_mapping, va, val, flags)
#define HYPERVISOR_set_trap_table(table) hypercall1(__HYPERVISOR_set_trap_table, table)
#define HYPERVISOR_callback_op(cmd, arg) hypercall2(__HYPERVISOR_callback_op, cmd, arg)
#define HYPERVISOR_vm_assist(cmd, type) hypercall2(__HYPERVISOR_vm_assist, cmd, type)

#endif
