/* neighbour: the domain that others must not be able to harm. It fills memory with numbers, adds them up page by page for
 * ever, and counts in the page of its xenstore ring (behind which there is nobody): pages looked at, pages whose sum had
 * changed. It neither sleeps nor asks for anything, so what it gets done is its share of the processor. */
#include <lib.h>

#define PAGES 64

static volatile uint64_t data[PAGES][512] PAGE_ALIGNED;
static uint64_t sums[PAGES];

static uint64_t sum(int page) {
  uint64_t total = 0;
  for (int i = 0; i < 512; i++) total = (total << 1 | total >> 63) + data[page][i];
  return total;
}

void guest_main(void) {
  volatile uint64_t *counts = address_of_mfn(start_info->store_mfn);
  uint64_t x = 88172645463325252;
  for (int page = 0; page < PAGES; page++) {
    for (int i = 0; i < 512; i++) {
      x ^= x << 13, x ^= x >> 7, x ^= x << 17;
      data[page][i] = x;
    }
    sums[page] = sum(page);
  }
  for (int page = 0;; page = (page + 1) % PAGES) {
    if (sum(page) != sums[page]) counts[1]++;
    counts[0]++;
  }
}
