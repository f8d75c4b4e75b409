/* What the four kernels share: types, the place of the entry, and the arithmetic of seeds and checksums. */
#ifndef PROGRAM_H
#define PROGRAM_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef short s16;
typedef unsigned int u32;
typedef int s32;
typedef unsigned long u64;

/* The linker script puts this section first, so that the entry is the image's first byte. */
#define ENTRY __attribute__((section(".text.entry"), noinline, used))

/* Knuth's 64-bit linear congruential generator; the upper half is the better one. */
static inline u32 random_next(u64 *state)
{
  *state = *state * 6364136223846793005ul + 1442695040888963407ul;
  return *state >> 32;
}

/* Order matters, so that a swapped result shows. */
static inline u32 checksum_add(u32 sum, u32 value)
{
  return ((sum << 5) | (sum >> 27)) * 0x9e3779b1u + value;
}

#endif
