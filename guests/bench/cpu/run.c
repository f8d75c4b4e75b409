/* Runs one flat program on this machine's processor: run IMAGE ROUNDS REPEATS. Prints the checksum, then the
 * nanoseconds of processor time of each repeat. Built and started by `npm run bench -- cpu`. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define BASE ((void *)0x10000000)
#define SIZE (4 << 20)

int main(int argc, char **argv)
{
  if (argc != 4)
    return 2;
  int file = open(argv[1], O_RDONLY);
  char *image = mmap(BASE, SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (file < 0 || image != BASE || read(file, image, SIZE) <= 0) {
    perror(argv[1]);
    return 1;
  }
  uint32_t (*entry)(uint32_t) = (uint32_t(*)(uint32_t))BASE;
  uint32_t rounds = atoi(argv[2]);
  printf("%u\n", entry(rounds));
  for (int i = 0; i < atoi(argv[3]); i++) {
    struct timespec from, to;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
    volatile uint32_t sum = entry(rounds);
    (void)sum;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
    printf("%lld\n", (to.tv_sec - from.tv_sec) * 1000000000ll + to.tv_nsec - from.tv_nsec);
  }
  return 0;
}
