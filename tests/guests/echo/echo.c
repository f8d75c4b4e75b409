/* echo: prints each line of console input again, after "echo: ". The line `quit` powers off. It shows the console in
 * both directions; it sleeps while there is no input. */
#include <lib.h>

void guest_main(void) {
  char line[256];
  printf("echo: ready\n");
  for (;;) {
    console_line(line, sizeof line);
    if (strcmp(line, "quit") == 0) break;
    printf("echo: %s\n", line);
  }
  printf("echo: good bye\n");
}
