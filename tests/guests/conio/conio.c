/* conio: prints by the console_io hypercall alone, so that a kernel is seen to live before there are rings, events and a
 * dom0; then powers off. Debian's Xen refuses console_io to a domU (-EPERM): there it prints nothing. */
#include <lib.h>

void guest_main(void) {
  static const char text[] = "conio: a line through console_io\n";
  HYPERVISOR_console_io(CONSOLEIO_write, sizeof text - 1, text);
}
