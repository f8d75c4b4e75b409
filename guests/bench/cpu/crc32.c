/* CRC-32 (polynomial 0xedb88320), a byte at a time through a table made on entry, over 64 KiB that change each round. */
#include "program.h"

#define SIZE 65536

static u32 table[256];
static u8 text[SIZE];

static void make_table(void)
{
  for (u32 i = 0; i < 256; i++) {
    u32 value = i;
    for (int bit = 0; bit < 8; bit++)
      value = value & 1 ? (value >> 1) ^ 0xedb88320u : value >> 1;
    table[i] = value;
  }
}

static u32 crc32(u32 crc, const u8 *bytes, u32 count)
{
  crc = ~crc;
  while (count--)
    crc = (crc >> 8) ^ table[(crc ^ *bytes++) & 0xff];
  return ~crc;
}

ENTRY u32 entry(u32 rounds)
{
  u64 seed = 1;
  u32 crc = 0;
  make_table();
  for (u32 i = 0; i < SIZE; i++)
    text[i] = random_next(&seed);
  for (u32 round = 0; round < rounds; round++) {
    text[round % SIZE] += crc;
    crc = crc32(crc, text, SIZE);
  }
  return crc;
}
