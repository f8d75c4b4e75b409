/* Entry points of a C guest: where Xen starts it, the hypercall page, and the handlers of exceptions and events.
 * The notes are those of public/elfnote.h; registers at the start are described at start_info in public/xen.h. */

    .file "start.S"

#include <xen/arch_x86.h>
#include <xen/elfnote.h>
#include <xen/xen.h>

.macro note type, kind, value:vararg
    .balign 4
    .long 4, 2f - 1f, \type
    .asciz "Xen"
1:  \kind \value
2:  .balign 4
.endm

    .section .notes, "a", @note
    note XEN_ELFNOTE_GUEST_OS, .asciz, "xenolith-guest"
    note XEN_ELFNOTE_XEN_VERSION, .asciz, "xen-3.0"
    note XEN_ELFNOTE_LOADER, .asciz, "generic"
    note XEN_ELFNOTE_VIRT_BASE, .quad, VIRT_BASE
    note XEN_ELFNOTE_ENTRY, .quad, _start
    note XEN_ELFNOTE_HYPERCALL_PAGE, .quad, hypercall_page
    note XEN_ELFNOTE_PAE_MODE, .asciz, "yes"

    /* Xen fills this page: a call to hypercall_page + 32 * number is hypercall `number`. */
    .section .text.hypercall_page, "ax", @progbits
    .balign 4096
    .globl hypercall_page
hypercall_page:
    .skip 4096, 0xcc

    /* RSI holds the address of start_info. The boot stack is one page only, so a longer one is used. */
    .text
    .globl _start
_start:
    cld
    lea stack_top(%rip), %rsp
    xor %ebp, %ebp
    mov %rsi, %rdi
    call guest_start
    ud2

/* Xen enters a handler with RCX and R11 on the stack, then the error code of those exceptions that have one, then RIP,
 * CS, RFLAGS, RSP, SS. The frame is made the same for all: struct regs in lib.h. */
.macro entry name, vector, has_error
    .globl \name
\name:
    pop %rcx
    pop %r11
    .if !\has_error
    push $0
    .endif
    push $\vector
    jmp common_entry
.endm

common_entry:
    push %rdi
    push %rsi
    push %rdx
    push %rcx
    push %rax
    push %r8
    push %r9
    push %r10
    push %r11
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    cld
    mov %rsp, %rdi
    mov %rsp, %rbp
    and $-16, %rsp
    call guest_entry
    mov %rbp, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rax
    pop %rcx
    pop %rdx
    pop %rsi
    pop %rdi
    add $16, %rsp
    push $0                     /* iret_context.flags; the page itself pushes RCX, R11 and RAX */
    jmp hypercall_page + __HYPERVISOR_iret * 32

    entry trap_0, 0, 0
    entry trap_1, 1, 0
    entry trap_3, 3, 0
    entry trap_4, 4, 0
    entry trap_5, 5, 0
    entry trap_6, 6, 0
    entry trap_7, 7, 0
    entry trap_10, 10, 1
    entry trap_11, 11, 1
    entry trap_12, 12, 1
    entry trap_13, 13, 1
    entry trap_14, 14, 1
    entry trap_16, 16, 0
    entry trap_17, 17, 1
    entry trap_19, 19, 0
    entry event_entry, 256, 0
    entry syscall_entry, 257, 0

/* Xen could not return to where the guest wanted: the data segment selectors come first. Nothing here loads any. */
    .globl failsafe_entry
failsafe_entry:
    ud2

/* void user_enter(struct iret_context *frame): leaves the kernel by the iret hypercall. It returns when a handler, on
 * whatever stack, calls user_leave. RAX, R11 and RCX of the frame are overwritten. */
    .globl user_enter, user_leave
user_enter:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, user_return(%rip)
    lea 24(%rdi), %rsp
    xor %eax, %eax
    jmp hypercall_page + __HYPERVISOR_iret * 32
user_leave:
    mov user_return(%rip), %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret

/* int probe(void *address, int write): touches a byte; 0, or 1 when the page-fault handler sent it to probe_failed. */
    .globl probe, probe_read, probe_write, probe_failed
probe:
    test %esi, %esi
    jnz probe_write
probe_read:
    movb (%rdi), %al
    xor %eax, %eax
    ret
probe_write:
    movb $0, (%rdi)
    xor %eax, %eax
    ret
probe_failed:
    mov $1, %eax
    ret

    .bss
    .balign 8
user_return:
    .skip 8
    .balign 4096
    .skip 32768
    .globl stack_top
stack_top:

/* The page over which Xen's shared_info is mapped: a whole one, for nothing else may lie in it. */
    .globl shared_info
shared_info:
    .skip 4096

    .section .note.GNU-stack, "", @progbits
