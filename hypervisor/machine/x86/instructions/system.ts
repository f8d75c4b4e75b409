// What belongs to no family: descriptor table registers, which are privileged here (as with UMIP), further encodings of
// instructions that do nothing, and what CPUID doesn't announce although Linux's text has it. Intel SDM volume 2.

import { Exit } from "../../processor.ts";
import { type Description, instruction } from "../describe.ts";

/** Other values of ModRM.rm of lfence, mfence and sfence. */
const fences = [0xe8, 0xf0, 0xf8].flatMap((first) =>
  [1, 2, 3, 4, 5, 6, 7].map((rm) => `0fae!${(first + rm).toString(16)}`),
);

export const system: readonly Description[] = [
  // sgdt, sidt, smsw, sldt, str.
  instruction("descriptors", ["0f01/0 M", "0f01/1 M", "0f01/4 Ew", "0f00/0 Ew", "0f00/1 Ew"], {}, (b) =>
    b.exit(Exit.Privileged),
  ),
  instruction("fences", fences, {}, () => {}),
  instruction("nops", ["0f1a Ev,Gv", "0f1b Ev,Gv", "0f1f Ev,Gv"], {}, () => {}),
];
