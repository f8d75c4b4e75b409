/* smpregs: what a processor holds and no exception frame shows, of two vcpus in turns: x87 and SSE registers with their control
 * words, debug registers, segment bases. Each fills its own with its own pattern, loses the processor over and over, and must
 * find all of it as it was; a vcpu that is new must find nothing of anybody's. */
#define NAME "smpregs"
#define CPUS 2
#include "../smp/smp.h"

#define ROUNDS 300
#define SEGBASE_FS 0
#define SEGBASE_GS_USER 1
#define MSR_KERNEL_GS_BASE 0xc0000102

struct fxsave {
  uint16_t fcw, fsw;
  uint8_t ftw, reserved, rest[18];
  uint32_t mxcsr, mask;
  struct { uint8_t value[10], reserved[6]; } st[8];
  uint8_t xmm[16][16], unused[96];
} __attribute__((aligned(16)));

static struct fxsave initial, set[CPUS], found[CPUS];
static uint64_t fs_area[CPUS];
static volatile unsigned ready;

static void save_initial(void) { __asm__ volatile("fxsave64 %0" : "=m"(initial)); }

static void show_initial(const char *what) {
  unsigned stale = 0;
  for (unsigned i = 0; i < 8; i++)
    for (unsigned j = 0; j < 10; j++) stale += initial.st[i].value[j] != 0;
  for (unsigned i = 0; i < 16; i++)
    for (unsigned j = 0; j < 16; j++) stale += initial.xmm[i][j] != 0;
  printf(NAME ": %s begins with fcw 0x%x, fsw 0x%x, tags 0x%x, mxcsr 0x%x, %u bytes of registers set\n", what, initial.fcw, initial.fsw,
         initial.ftw, initial.mxcsr, stale);
}

static unsigned differences(const void *a, const void *b, unsigned n) {
  const uint8_t *x = a, *y = b;
  unsigned count = 0;
  for (unsigned i = 0; i < n; i++) count += x[i] != y[i];
  return count;
}

static void load_patterns(unsigned cpu) {
  struct fxsave *s = &set[cpu];
  s->fcw = cpu ? 0x27f : 0xf7f;
  s->fsw = (uint16_t)(cpu << 11);
  s->ftw = 0xff;
  s->mxcsr = 0x1f80 | (cpu + 1) << 13;
  for (unsigned i = 0; i < 8; i++)
    for (unsigned j = 0; j < 10; j++) s->st[i].value[j] = (uint8_t)(cpu * 128 + i * 16 + j + 1);
  for (unsigned i = 0; i < 16; i++)
    for (unsigned j = 0; j < 16; j++) s->xmm[i][j] = (uint8_t)(~(cpu * 77) ^ (i * 16 + j));
  __asm__ volatile("fxrstor64 %0" : : "m"(*s));
  for (unsigned i = 0; i < 4; i++) hypercall2(__HYPERVISOR_set_debugreg, i, 0x1000 * (cpu + 1) + i);
  hypercall2(__HYPERVISOR_set_segment_base, SEGBASE_FS, &fs_area[cpu]);
  hypercall2(__HYPERVISOR_set_segment_base, SEGBASE_GS_USER, 0x5000 * (cpu + 1));
  fs_area[cpu] = 0x77 + cpu;
}

static unsigned wrong(unsigned cpu) {
  const struct fxsave *s = &set[cpu], *f = &found[cpu];
  unsigned count = 0;
  uint64_t fs;
  uint32_t gs, high;
  __asm__ volatile("fxsave64 %0; movq %%fs:0, %1; rdmsr" : "=m"(found[cpu]), "=&r"(fs), "=a"(gs), "=d"(high) : "c"(MSR_KERNEL_GS_BASE));
  count += f->fcw != s->fcw || f->fsw != s->fsw || f->ftw != s->ftw || f->mxcsr != s->mxcsr;
  for (unsigned i = 0; i < 8; i++) count += differences(s->st[i].value, f->st[i].value, 10);
  count += differences(s->xmm, f->xmm, sizeof s->xmm);
  for (unsigned i = 0; i < 4; i++) count += hypercall1(__HYPERVISOR_get_debugreg, i) != (long)(0x1000 * (cpu + 1) + i);
  return count + (fs != 0x77 + cpu) + (gs != 0x5000 * (cpu + 1) || high != 0);
}

static void hold(void) {
  unsigned cpu = (unsigned)this_cpu()->id;
  unsigned count = 0;
  load_patterns(cpu);
  __sync_fetch_and_add(&ready, 1);
  while (ready < CPUS) yield();
  for (unsigned i = 0; i < ROUNDS; i++) {
    /* By calling, and by being taken off it. */
    if (i & 1) yield();
    else
      for (volatile unsigned spin = 0; spin < 3000; spin++) continue;
    count += wrong(cpu);
  }
  this_cpu()->result = count;
}

void guest_main(void) {
  save_initial();
  show_initial("vcpu 0");
  smp_init();
  show("bring up the other", bring_up(1));
  load_patterns(0);
  run(1, save_initial);
  show_initial("vcpu 1");
  start(1, hold);
  hold();
  show("vcpu 0 found wrong", cpus[0].result);
  show("vcpu 1 found wrong", finish(1));
}
