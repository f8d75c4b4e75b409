/* System time from the TSC and the factors in vcpu_time_info (public/xen.h).
 * 1. Read the version; odd means that Xen is writing. 2. Read the values. 3. Start over if the version changed. */
#include "lib.h"

uint64_t system_time(void) {
  volatile struct vcpu_time_info *t = &shared_info.vcpu_info[0].time;
  uint32_t version;
  uint64_t now;
  do {
    while ((version = t->version) & 1) __asm__ volatile("pause");
    __asm__ volatile("lfence" ::: "memory");
    uint32_t lo, hi;
    __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
    uint64_t delta = ((uint64_t)hi << 32 | lo) - t->tsc_timestamp;
    delta = t->tsc_shift < 0 ? delta >> -t->tsc_shift : delta << t->tsc_shift;
    now = t->system_time + (uint64_t)((unsigned __int128)delta * t->tsc_to_system_mul >> 32);
    __asm__ volatile("lfence" ::: "memory");
  } while (version != t->version);
  return now;
}
