#!/bin/sh
# Makes the four images again, and images.json with the hash of what they are made from. Needs gcc, binutils and node.
set -e
cd "$(dirname "$0")"
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
gcc -O2 -o "$build/run" run.c
for name in sieve crc32 quicksort mix; do
  gcc -O2 -ffreestanding -fno-pic -mno-red-zone -mgeneral-regs-only -fno-asynchronous-unwind-tables -fno-stack-protector \
    -fcf-protection=none -fno-builtin -fno-tree-loop-distribute-patterns -nostdlib -static -Wall -Wextra -Wl,--build-id=none -Wl,--no-warn-rwx-segments \
    -Wl,-T,program.ld -o "$build/$name.elf" "$name.c"
  objcopy -O binary "$build/$name.elf" "$name.bin"
  chmod -x "$name.bin"
done
node - "$build/run" > images.json <<'SCRIPT'
const { createHash } = require("node:crypto");
const { readFileSync } = require("node:fs");
const { execFileSync } = require("node:child_process");
const programs = {};
for (const name of ["sieve", "crc32", "quicksort", "mix"]) {
  const sources = ["make.sh", "program.h", "program.ld", `${name}.c`];
  const hash = createHash("sha256");
  for (const source of sources) hash.update(readFileSync(source));
  const checksum = Number(execFileSync(process.argv[2], [`${name}.bin`, "1", "0"], { encoding: "utf8" }));
  programs[name] = { sources: hash.digest("hex"), checksum };
}
console.log(JSON.stringify(programs, null, 2));
SCRIPT
