/* Quicksort of 20,000 random words: median of three, recursion into the smaller part, insertion sort of short ones. */
#include "program.h"

#define COUNT 20000
#define SHORT 12

static u32 values[COUNT];

static void insertion_sort(u32 *a, long low, long high)
{
  for (long i = low + 1; i <= high; i++) {
    u32 value = a[i];
    long j = i - 1;
    while (j >= low && a[j] > value) {
      a[j + 1] = a[j];
      j--;
    }
    a[j + 1] = value;
  }
}

static inline void swap(u32 *a, u32 *b)
{
  u32 t = *a;
  *a = *b;
  *b = t;
}

static __attribute__((noinline)) void sort(u32 *a, long low, long high)
{
  while (high - low > SHORT) {
    long middle = low + (high - low) / 2;
    if (a[middle] < a[low])
      swap(&a[middle], &a[low]);
    if (a[high] < a[low])
      swap(&a[high], &a[low]);
    if (a[high] < a[middle])
      swap(&a[high], &a[middle]);
    u32 pivot = a[middle];
    long i = low, j = high;
    while (i <= j) {
      while (a[i] < pivot)
        i++;
      while (a[j] > pivot)
        j--;
      if (i <= j)
        swap(&a[i++], &a[j--]);
    }
    if (j - low < high - i) {
      sort(a, low, j);
      low = i;
    } else {
      sort(a, i, high);
      high = j;
    }
  }
  insertion_sort(a, low, high);
}

ENTRY u32 entry(u32 rounds)
{
  u32 sum = 0;
  for (u32 round = 0; round < rounds; round++) {
    u64 seed = round + 1;
    for (u32 i = 0; i < COUNT; i++)
      values[i] = random_next(&seed);
    sort(values, 0, COUNT - 1);
    for (u32 i = 1; i < COUNT; i++)
      if (values[i - 1] > values[i])
        return 0xdead;
    for (u32 i = 0; i < COUNT; i += 97)
      sum = checksum_add(sum, values[i]);
  }
  return sum;
}
