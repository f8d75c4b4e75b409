/* The little of a C library that guests use; the compiler itself calls memset and memcpy. */
#include "lib.h"

void *memset(void *to, int value, size_t n) {
  void *start = to;
  __asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(value) : "memory");
  return start;
}

void *memcpy(void *to, const void *from, size_t n) {
  void *start = to;
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
  return start;
}

size_t strlen(const char *s) {
  size_t n = 0;
  while (s[n]) n++;
  return n;
}

int strcmp(const char *a, const char *b) {
  while (*a && *a == *b) a++, b++;
  return (unsigned char)*a - (unsigned char)*b;
}

uint64_t number_of(const char *text) {
  uint64_t n = 0;
  for (; *text >= '0' && *text <= '9'; text++) n = n * 10 + (uint64_t)(*text - '0');
  return n;
}

struct out {
  char *to;
  size_t size, n;
};

static void put(struct out *o, char c) {
  if (o->n + 1 < o->size) o->to[o->n] = c;
  o->n++;
}

static void put_number(struct out *o, uint64_t value, unsigned base, int negative, int width, char fill) {
  char digits[24];
  int n = 0;
  do digits[n++] = "0123456789abcdef"[value % base];
  while (value /= base);
  if (negative && fill == '0') put(o, '-');
  for (int i = n + negative; i < width; i++) put(o, fill);
  if (negative && fill != '0') put(o, '-');
  while (n > 0) put(o, digits[--n]);
}

int vsnprintf(char *to, size_t size, const char *format, va_list args) {
  struct out o = {to, size, 0};
  for (const char *f = format; *f; f++) {
    if (*f != '%') {
      put(&o, *f);
      continue;
    }
    char fill = *++f == '0' ? '0' : ' ';
    int width = 0, isLong = 0;
    while (*f >= '0' && *f <= '9') width = width * 10 + *f++ - '0';
    while (*f == 'l') isLong = 1, f++;
    if (*f == 'd') {
      int64_t v = isLong ? va_arg(args, long) : va_arg(args, int);
      put_number(&o, v < 0 ? -(uint64_t)v : (uint64_t)v, 10, v < 0, width, fill);
    } else if (*f == 'u' || *f == 'x') {
      uint64_t v = isLong ? va_arg(args, unsigned long) : va_arg(args, unsigned);
      put_number(&o, v, *f == 'u' ? 10 : 16, 0, width, fill);
    } else if (*f == 'p') {
      put(&o, '0');
      put(&o, 'x');
      put_number(&o, (uint64_t)va_arg(args, void *), 16, 0, 0, ' ');
    } else if (*f == 's') {
      for (const char *s = va_arg(args, const char *); *s; s++) put(&o, *s);
    } else {
      put(&o, *f == 'c' ? (char)va_arg(args, int) : *f);
    }
  }
  if (size > 0) to[o.n < size ? o.n : size - 1] = 0;
  return (int)o.n;
}

int snprintf(char *to, size_t size, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int n = vsnprintf(to, size, format, args);
  va_end(args);
  return n;
}
