/* Generated from shared/abi/callback.ts by `npm run headers`; edit that. */
#ifndef XENOLITH_CALLBACK_H
#define XENOLITH_CALLBACK_H

#define CALLBACKOP_register 0
#define CALLBACKOP_unregister 1
#define CALLBACKTYPE_event 0
#define CALLBACKTYPE_failsafe 1
#define CALLBACKTYPE_syscall 2
#define CALLBACKTYPE_sysenter_deprecated 3
#define CALLBACKTYPE_nmi 4
#define CALLBACKTYPE_sysenter 5
#define CALLBACKTYPE_syscall32 7
#define CALLBACKF_mask_events 1

#ifndef __ASSEMBLER__
#include <stddef.h>
#include <stdint.h>

struct callback_register {
  uint16_t type;
  uint16_t flags;
  uint8_t _gap0[4];
  uint64_t address;
};
_Static_assert(offsetof(struct callback_register, type) == 0, "callback_register.type");
_Static_assert(offsetof(struct callback_register, flags) == 2, "callback_register.flags");
_Static_assert(offsetof(struct callback_register, address) == 8, "callback_register.address");
_Static_assert(sizeof(struct callback_register) == 16, "callback_register");

struct callback_unregister {
  uint16_t type;
  uint16_t _unused;
};
_Static_assert(offsetof(struct callback_unregister, type) == 0, "callback_unregister.type");
_Static_assert(offsetof(struct callback_unregister, _unused) == 2, "callback_unregister._unused");
_Static_assert(sizeof(struct callback_unregister) == 4, "callback_unregister");

#endif /* __ASSEMBLER__ */

#endif /* XENOLITH_CALLBACK_H */
