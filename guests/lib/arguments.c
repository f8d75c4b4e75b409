/* Arguments of a guest's command line (`extra` in its configuration): NAME=VALUE, separated by spaces; a semicolon ends one
 * line of several. */
#include "lib.h"

static int ends(char c) { return c == 0 || c == ';' || c == ' '; }

int argument(const char *line, const char *name, char *value, size_t size) {
  size_t length = strlen(name);
  for (const char *at = line; *at && *at != ';'; at++) {
    if (at != line && at[-1] != ' ') continue;
    size_t same = 0;
    while (same < length && at[same] == name[same]) same++;
    if (same < length || at[same] != '=') continue;
    size_t n = 0;
    for (at += length + 1; !ends(at[n]) && n + 1 < size; n++) value[n] = at[n];
    value[n] = 0;
    return 1;
  }
  return 0;
}

uint64_t argument_number(const char *line, const char *name, uint64_t otherwise) {
  char value[24];
  if (!argument(line, name, value, sizeof value)) return otherwise;
  char last = value[0] ? value[strlen(value) - 1] : 0;
  return number_of(value) << (last == 'K' ? 10 : last == 'M' ? 20 : 0);
}
