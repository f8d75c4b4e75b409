/* Generated from shared/abi/io/console.ts by `npm run headers`; edit that. */
#ifndef XENOLITH_IO_CONSOLE_H
#define XENOLITH_IO_CONSOLE_H


#ifndef __ASSEMBLER__
#include <stddef.h>
#include <stdint.h>

struct xencons_interface {
  uint8_t in[1024];
  uint8_t out[2048];
  uint32_t in_cons;
  uint32_t in_prod;
  uint32_t out_cons;
  uint32_t out_prod;
};
_Static_assert(offsetof(struct xencons_interface, in) == 0, "xencons_interface.in");
_Static_assert(offsetof(struct xencons_interface, out) == 1024, "xencons_interface.out");
_Static_assert(offsetof(struct xencons_interface, in_cons) == 3072, "xencons_interface.in_cons");
_Static_assert(offsetof(struct xencons_interface, in_prod) == 3076, "xencons_interface.in_prod");
_Static_assert(offsetof(struct xencons_interface, out_cons) == 3080, "xencons_interface.out_cons");
_Static_assert(offsetof(struct xencons_interface, out_prod) == 3084, "xencons_interface.out_prod");
_Static_assert(sizeof(struct xencons_interface) == 3088, "xencons_interface");

#endif /* __ASSEMBLER__ */

#endif /* XENOLITH_IO_CONSOLE_H */
