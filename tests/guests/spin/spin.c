/* spin: counts for ever and prints nothing. Whoever shares the processor with it must get a share, and whoever destroys
 * it must get its frames back. The counter lies at the symbol `counter`. */
#include <lib.h>

volatile uint64_t counter;

void guest_main(void) {
  for (;;) counter++;
}
