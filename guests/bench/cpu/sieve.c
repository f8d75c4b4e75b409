/* Sieve of Eratosthenes over the odd numbers below 400,000: strided byte stores, then a counting pass. */
#include "program.h"

#define LIMIT 200000

static u8 composite[LIMIT];

ENTRY u32 entry(u32 rounds)
{
  u32 sum = 0;
  for (u32 round = 0; round < rounds; round++) {
    for (u32 i = 0; i < LIMIT; i++)
      composite[i] = 0;
    /* Index i stands for the number 2i + 1. */
    for (u32 i = 1; 2 * i * (i + 1) < LIMIT; i++) {
      if (composite[i])
        continue;
      for (u32 j = 2 * i * (i + 1); j < LIMIT; j += 2 * i + 1)
        composite[j] = 1;
    }
    u32 primes = 1, last = 2;
    for (u32 i = 1; i < LIMIT; i++) {
      if (!composite[i]) {
        primes++;
        last = 2 * i + 1;
      }
    }
    sum = checksum_add(checksum_add(sum, primes), last + round);
  }
  return sum;
}
