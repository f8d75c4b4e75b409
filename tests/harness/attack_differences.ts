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
