/* What every C guest has: `guest_main` is called with the console, traps and events ready; when it returns, the domain
 * powers off. Everything is for one vcpu. */
#ifndef XENOLITH_LIB_H
#define XENOLITH_LIB_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "hypercall.h"

#define PAGE_SIZE 4096ul
#define PAGE_ALIGNED __attribute__((aligned(4096)))

/* What an exception or event interrupted, as start.S saves it. `vector` is 256 for events, 257
 * for system calls. */
struct regs {
  uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
  uint64_t vector, error;
  uint64_t rip, cs, rflags, rsp, ss;
};

extern struct start_info *start_info;
extern volatile struct shared_info shared_info; /* a page of start.S, mapped before guest_main */

void guest_main(void);
/* Drains the console, then ends the domain with SHUTDOWN_*. */
void shutdown(unsigned reason) __attribute__((noreturn));

/* string.c */
void *memset(void *to, int value, size_t n);
void *memcpy(void *to, const void *from, size_t n);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);
uint64_t number_of(const char *text); /* decimal, as far as it goes */
/* %d %u %x %c %s %p %%, with l, and a width with or without leading 0. Returns the length without the final NUL. */
int vsnprintf(char *to, size_t size, const char *format, va_list args);
int snprintf(char *to, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* console.c */
void console_write(const char *text, size_t n);
void printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
void console_drain(void);
/* Waits for a line of input; stores at most size - 1 bytes without the line's end, and a NUL. */
size_t console_line(char *to, size_t size);

/* events.c */
typedef void (*event_handler)(uint32_t port);
void events_init(void);
/* Installs the handler of a port, and unmasks the port. Port 1 to 255. */
void event_bind(uint32_t port, event_handler handler);
uint32_t virq_bind(uint32_t virq, event_handler handler);
void event_notify(uint32_t port);
void events_disable(void);
void events_enable(void); /* takes pending events at once */
void event_block(void);   /* with events disabled: sleeps until one comes; they are enabled afterwards */
/* Sleeps until `port`, which stays masked, is pending, and clears it. */
void event_poll(uint32_t port);
/* The same for any of several, all of which are cleared; `until` is a system time at which it returns anyhow, or 0. */
void event_poll_any(const uint32_t *ports, uint32_t n, uint64_t until);
void events_upcall(void);

/* time.c: the system time in nanoseconds, by the pvclock protocol. */
uint64_t system_time(void);

/* traps.c */
typedef int (*trap_handler)(struct regs *regs); /* non-zero: handled, go on at regs->rip */
void traps_init(void);
void trap_bind(unsigned vector, trap_handler handler);
/* Enters user mode with a frame; returns when a handler calls user_leave, which drops all that is on its stack. */
struct iret_context;
void user_enter(struct iret_context *frame);
void user_leave(void) __attribute__((noreturn));
/* Called for a syscall from user mode, once the guest registered syscall_entry (start.S) for it. */
extern void (*syscall_handler)(struct regs *regs);
extern char syscall_entry[];
/* Reads or writes a byte; 0, or 1 when that faults. The address and error code are then in the variables. */
int try_touch(void *address, int write);
extern uint64_t fault_address, fault_error;

/* memory.c: frames behind addresses of the initial mapping, and the page tables. */
uint64_t mfn_of(const volatile void *address);
void *address_of_mfn(uint64_t mfn); /* of an own frame */
/* The machine address of the L1 entry (level 1) that maps the address, or of the entry above (2, 3, 4). */
uint64_t entry_address(const volatile void *address, int level);
uint64_t entry_value(const volatile void *address, int level);
/* Makes the page at an address of the initial mapping read-only or writable, or maps another frame. Returns an errno. */
long set_page(const volatile void *address, uint64_t entry);

/* xenstore.c: reads a node; its length, or a negative number. The value is cut to size - 1 bytes and ends with NUL. */
int xenstore_read(const char *path, char *value, size_t size);
/* The names of a node's children, each with a NUL; the length of them all, or a negative number. */
int xenstore_directory(const char *path, char *names, size_t size);
/* 0, or a negative number. */
int xenstore_write(const char *path, const char *value);
/* Asks to be told when the node, or one below it, changes; that is told once at the beginning, too. */
int xenstore_watch(const char *path);
/* Whether something that is watched has changed since the last call. Its event channel is start_info's, and stays masked. */
int xenstore_changed(void);
/* Sleeps until something that is watched changes. */
void xenstore_wait(void);

/* arguments.c: the value of NAME in a line of NAME=VALUE, separated by spaces and ended by ; or NUL; 0 if it isn't there. */
int argument(const char *line, const char *name, char *value, size_t size);
/* The same as a number, which K or M may follow. */
uint64_t argument_number(const char *line, const char *name, uint64_t otherwise);

#endif
