// table
// What attacks print here that real Xen, under QEMU, printed otherwise, and why. A line that has become the same must be
// taken out: the tests say so.

import type { Verdict } from "./attack.ts";

/** By attack: the line as it is here, and the reason. */
export const DIFFERENT: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  stale: {
    "stale: read through the translation of the old frame: faults, error 0x0":
      "Xen flushes when a frame is handed out again; here the translations go when the frame does",
    "stale: write through the translation of the old frame: faults, error 0x2": "as above",
  },
  writable: {
    "writable: rep stos of two entries: faults":
      "a direct store has to stay within one entry; Xen emulates such an instruction one round at a time",
  },
  code: {
    "code: executed still: -1": "as in stale: here the translations go when the frame does",
  },
  contexts: {
    "contexts: all together in the hypervisor, with its selectors, IOPL and NT: -22":
      "selectors that could not be loaded are refused here when they are given; Xen has the vcpu fault at them",
    "contexts: again: -22": "so the vcpu has not been initialised",
  },
  counts: {
    "counts: results made up: 0/0 1/1 -1/-1 -22/-22 -4095/-4095 -22/-22 -22/-22 -22/-22 2147483647/2147483647 -22/-22":
      "a made-up result is kept out of the range of the dispatcher's own answers",
    "counts: exchange of 0x1000000000000000: -14, all but one done -14, more done -22, order 9 for order 0 -22, split -22, order 64 -1":
      "a list that is longer than the address space is refused at once; Xen finds its first element bad",
    "counts: exchange of 0x8000000000000000: -14, all but one done -14, more done -22, order 9 for order 0 -22, split -22, order 64 -1":
      "as above: in Xen the element's address wraps around, to before the list",
    "counts: exchange of 0xffffffffffffffff: -14, all but one done -14, more done -14, order 9 for order 0 -22, split -22, order 64 -1":
      "as above",
    "counts: hypercall numbers: -38 -38 -38 -38 -38 -38 -38 -38 -38 -38 -38 -38 -38 -38 -38 -38 -38 -38 -38 -38 -38 -38 -38 -38 -38 -38 -38 -38 -38 -38 -38 -38 -38 -38 -38":
      "hypfs_op, mca and paging_domctl_cont are not implemented; Xen refuses them to a domU with -EPERM and -EFAULT",
  },
  ports: {
    "ports: operations from 11 on: -38 -38 -38 -38 -38 -38":
      "Xen's own continuation of reset has a number (14), which is -EPERM to a guest",
  },
  descriptors: {
    "descriptors: map the LDT writable: 0":
      "a descriptor of an LDT is checked each time it is loaded, so that its page may be written to; Xen makes it a descriptor page",
  },
  returns: {
    "returns: rip in the hypervisor: vector 14, error 0x14, where it was to go, cs 0xe033, ss 0xe02b, flags 0x10000":
      "nothing is mapped there: the hypervisor has no code in the guest's address space",
    "returns: rip in the hypervisor: vector 14, error 0x10, where it was to go, cs 0xe030, ss 0xe02b, flags 0x10000":
      "as above",
    "returns: iretq not canonical: vector 13, error 0x0, elsewhere, cs 0xe030, ss 0xe02b, flags 0x10000":
      "the processor manual has the fault at the iretq; QEMU's TCG has it behind",
  },
  foreign: {
    "foreign: update_va_mapping, read-only: -16": "frame 0 is a device's on a PC, and here the hypervisor's",
    "foreign: update_va_mapping, writable: -16": "as above",
    "foreign: mmu_update of a level-1 entry: -16": "as above",
    "foreign: pin a level-1 table that maps it: -16": "as above",
  },
};

/** The lines that differ and have no reason; and reasons whose line does not differ. */
export function accounted(v: Verdict): (readonly [number, string, string])[] {
  const known = DIFFERENT[v.name] ?? {};
  const unknown = v.lines.filter(([, , got]) => !(got in known));
  const stale = Object.keys(known).filter((line) => !v.lines.some(([, , got]) => got === line));
  return [...unknown, ...stale.map((line) => [0, "the same by now", line] as const)];
}
