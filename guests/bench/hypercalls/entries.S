/* The shortest handlers that there can be: each does what its measurement needs and returns by the iret hypercall, whose page
 * saves RAX, RCX and R11 itself. What lies on the stack at a handler's entry is described in start.S. */

    .file "entries.S"

#include <xen/arch_x86.h>
#include <xen/xen.h>

#define PENDING_SELECTOR 8        /* in vcpu_info, which shared_info begins with */
#define EVTCHN_PENDING (32 * 64)  /* in shared_info */

    .text
    .globl bench_event, bench_fault, bench_syscall, bench_user, bench_touch

/* Takes the one port that is measured. */
bench_event:
    pop %rcx
    pop %r11
    push %rax
    movb $0, shared_info(%rip)
    movq $0, shared_info + PENDING_SELECTOR(%rip)
    mov bench_port(%rip), %rax
    lock btrq %rax, shared_info + EVTCHN_PENDING(%rip)
    incq bench_events(%rip)
    pop %rax
    push $0
    jmp hypercall_page + __HYPERVISOR_iret * 32

/* void bench_touch(const volatile void *address): reads a byte there, or not. */
bench_touch:
    movb (%rdi), %al
touched:
    ret

/* Goes on behind that read. */
bench_fault:
    pop %rcx
    pop %r11
    add $8, %rsp                  /* the error code */
    movq $touched, (%rsp)
    push $0
    jmp hypercall_page + __HYPERVISOR_iret * 32

/* User code; and the kernel's entry for it, which returns to it bench_left times. */
bench_user:
    syscall
    jmp bench_user
bench_syscall:
    pop %rcx
    pop %r11
    decq bench_left(%rip)
    jle user_leave
    push $VGCF_in_syscall
    jmp hypercall_page + __HYPERVISOR_iret * 32

    .section .note.GNU-stack, "", @progbits
