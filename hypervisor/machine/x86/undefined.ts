// What the processor does not know: #UD for the guest, and one line in the hypervisor's log with the bytes and their
// disassembly, when such an instruction is executed (not when it is decoded ahead), once for each decoded copy of it.

import { disassembleSoon } from "./disassemble.ts";
import { registerHost } from "./host.ts";
import { Slot, Uop } from "./layout.ts";

const UD = 6;
const LONGEST = 15;
/** In the immediate of the record, which is otherwise unused: the line has been written. */
const LOGGED = 1;

registerHost("undefined", (c, uop) => {
  const { u16, u32 } = c.memory;
  const mark = (uop + Uop.imm) >>> 2;
  if (u32[mark] !== LOGGED) {
    u32[mark] = LOGGED;
    const lo = c.lo(Slot.PAGE) + u16[(uop + Uop.rel) >>> 1];
    const hi = c.hi(Slot.PAGE);
    // Of its own page alone: a look at the next one, which the instruction need not reach, would change CR2 or mark it accessed.
    const copy = new Uint8Array(Math.min(LONGEST, 4096 - (lo & 4095)));
    if (!c.port.readBytes(lo, hi, copy)) return c.fault(UD, 0);
    const address = (BigInt(hi) << 32n) + BigInt(lo);
    const { host } = c;
    disassembleSoon(copy, address, (text) => {
      const hex = Array.from(copy, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
      host.log(`x86: instruction not supported at 0x${address.toString(16)}: ${hex}: ${text}`);
    });
  }
  return c.fault(UD, 0);
});
