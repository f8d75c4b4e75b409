/* Executes single instructions on this machine's processor: reads records of a machine state from standard input, writes
 * the state after one instruction to standard output. Built and started by scripts/vectors.ts.
 *
 * Each instruction runs with the trap flag set, entered by returning from a signal with the record's registers, and ends
 * in SIGTRAP or the signal of its fault, where the kernel hands over all registers, the exception's number, its error code
 * and CR2. A repeated string instruction traps after each iteration and is let go on until it is done.
 * Leaves out: fs (the C library's own), what ends in the kernel (syscall), and mov ss (which holds the trap back). */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

/* The places that tests/vectors/format.ts names: two pages of data with none before or behind, a page that can't be
 * written, the page of the instruction, and where gs points. */
#define CODE 0x20000000ul
#define DATA 0x30000000ul
#define READ_ONLY 0x30003000ul
#define GS_BASE 0x30000800ul

#define MAX_STEPS 2000

struct input {
  uint64_t regs[16], rip, flags;
  uint8_t data[8192];
  uint8_t fx[512];
  uint8_t code[16];
};

struct output {
  uint64_t regs[16], rip, flags, trap, error, cr2;
  uint8_t data[8192];
  uint8_t fx[512];
};

/* Registers in the order in which instructions encode them. */
static const int order[16] = {
  REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
  REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
};

static struct input in;
static struct output out;
static int running, steps;
static ucontext_t home;
static uint8_t home_fx[512];

static void start(ucontext_t *to)
{
  home = *to;
  memcpy(home_fx, to->uc_mcontext.fpregs, 512);
  for (int i = 0; i < 16; i++)
    to->uc_mcontext.gregs[order[i]] = in.regs[i];
  to->uc_mcontext.gregs[REG_RIP] = in.rip;
  to->uc_mcontext.gregs[REG_EFL] = in.flags | 0x100;
  /* What follows byte 416 in a signal frame's state is the kernel's own. */
  memcpy(to->uc_mcontext.fpregs, in.fx, 416);
  /* The header behind it says which parts are to be loaded: x87 and SSE among them. */
  *(uint64_t *)((char *)to->uc_mcontext.fpregs + 512) |= 3;
  running = 1;
  steps = 0;
}

static void finish(ucontext_t *from)
{
  running = 0;
  greg_t *regs = from->uc_mcontext.gregs;
  for (int i = 0; i < 16; i++)
    out.regs[i] = regs[order[i]];
  out.rip = regs[REG_RIP];
  out.flags = regs[REG_EFL] & ~0x10100ul;
  out.trap = regs[REG_TRAPNO];
  out.error = regs[REG_ERR];
  out.cr2 = regs[REG_CR2];
  memcpy(out.fx, from->uc_mcontext.fpregs, 416);
  void *fx = from->uc_mcontext.fpregs;
  sigset_t mask = from->uc_sigmask;
  memcpy(regs, home.uc_mcontext.gregs, sizeof home.uc_mcontext.gregs);
  memcpy(fx, home_fx, 416);
  from->uc_sigmask = mask;
}

static void handler(int number, siginfo_t *info, void *context)
{
  (void)info;
  ucontext_t *state = context;
  if (number == SIGUSR1) {
    start(state);
    return;
  }
  if (!running) {
    static const char text[] = "run: a fault of its own\n";
    write(2, text, sizeof text - 1);
    _exit(3);
  }
  if (number == SIGTRAP && (uint64_t)state->uc_mcontext.gregs[REG_RIP] == in.rip && ++steps < MAX_STEPS)
    return;
  finish(state);
}

static void *map(uint64_t address, size_t size, int protection)
{
  void *at = mmap((void *)address, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (at != (void *)address) {
    perror("mmap");
    exit(1);
  }
  return at;
}

int main(void)
{
  uint8_t *code = map(CODE, 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
  map(DATA, 8192, PROT_READ | PROT_WRITE);
  uint8_t *fixed = map(READ_ONLY, 4096, PROT_READ | PROT_WRITE);
  for (int i = 0; i < 4096; i++)
    fixed[i] = i * 7 + 1;
  mprotect(fixed, 4096, PROT_READ);
  syscall(SYS_arch_prctl, ARCH_SET_GS, GS_BASE);

  stack_t stack = { .ss_sp = malloc(1 << 16), .ss_size = 1 << 16 };
  sigaltstack(&stack, 0);
  struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
  int signals[] = { SIGUSR1, SIGTRAP, SIGSEGV, SIGFPE, SIGILL, SIGBUS };
  for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++)
    sigaction(signals[i], &action, 0);

  while (fread(&in, sizeof in, 1, stdin) == 1) {
    memset(code, 0xcc, 4096);
    memcpy((void *)in.rip, in.code, 16);
    memcpy((void *)DATA, in.data, sizeof in.data);
    memset(&out, 0, sizeof out);
    raise(SIGUSR1);
    memcpy(out.data, (void *)DATA, sizeof out.data);
    fwrite(&out, sizeof out, 1, stdout);
  }
  return fflush(stdout) != 0;
}
