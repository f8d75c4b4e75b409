/* flood: prints numbered lines as fast as its console takes them, for ever. It shows that a guest which floods its
 * console costs its own time only: others run on, viewers get away, and dom0 holds a bounded amount of it. */
#include <lib.h>

void guest_main(void) {
  for (unsigned n = 1;; n++) printf("flood: %d 0123456789 0123456789 0123456789 0123456789 0123456789\n", n);
}
