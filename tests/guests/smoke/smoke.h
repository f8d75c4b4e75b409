/* What the parts of smoke share. */
#ifndef SMOKE_H
#define SMOKE_H

#include <lib.h>

/* Prints "smoke: WHAT: RESULT". */
void show(const char *what, long result);
/* The same for a value in hexadecimal. */
void show_hex(const char *what, unsigned long value);

void smoke_version(void);
void smoke_misc(void);
void smoke_traps(void);
void smoke_user(void);
void smoke_events(void);
void smoke_grants(void);
void smoke_sched(void);
void smoke_vcpu(void);
void smoke_memory(void);
void smoke_mmu(void);

/* An address where nothing is mapped. */
#define NOWHERE 0x123456789000ul

#endif
