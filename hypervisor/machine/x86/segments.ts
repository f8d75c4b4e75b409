// Segment registers as instructions at CPL 3 use them: descriptor look-up in the guest's GDT and LDT, loads, far returns,
// iretq, lar to verw; and the time stamp counter. Called as host functions by the descriptions in instructions/segment.ts.
// Intel SDM volume 3, chapter 5 and 6.14; GDT entries from 7168 up are the hypervisor's flat segments of
// public/arch-x86/xen-x86_64.h. 32-bit code segments are refused: there is no compatibility mode yet.

import { CpuLayout, Reg, Seg } from "../cpu_state.ts";
import { type HostContext, registerHost } from "./host.ts";
import { Next, Slot, Uop } from "./layout.ts";

const GP = 13;
const NP = 11;
const SS = 12;
const UD = 6;

/** First of the hypervisor's own entries, FIRST_RESERVED_GDT_ENTRY. */
const RESERVED_ENTRIES = 7168;
/** FLAT_RING3_CS32, _DS32/_SS and _CS64, by entry, as halves. */
const FLAT: Record<number, readonly [number, number]> = {
  7172: [0x0000ffff, 0x00cffa00],
  7173: [0x0000ffff, 0x00cff200],
  7174: [0x0000ffff, 0x00affa00],
};

/** Bits of a descriptor's high half. */
const Desc = {
  P: 1 << 15,
  S: 1 << 12,
  CODE: 1 << 11,
  CONFORMING: 1 << 10,
  RW: 1 << 9,
  L: 1 << 21,
  D: 1 << 22,
  G: 1 << 23,
  DPL_3: 3 << 13,
};
const dpl = (hi: number): number => (hi >>> 13) & 3;

const eight = new Uint8Array(8);
const eightView = new DataView(eight.buffer);
/** Halves of the descriptor last read. */
let lo = 0;
let hi = 0;

type Lookup = "found" | "outside" | "fault";

function lookUp(c: HostContext, selector: number): Lookup {
  const entry = selector >>> 3;
  if (selector & 4) {
    if (entry >= c.cpu.field(CpuLayout.ldtEntries)) return "outside";
    const at = c.cpu.field(CpuLayout.ldtBase) + entry * 8;
    const high = c.cpu.field(CpuLayout.ldtBase + 4) & 0xffff;
    const top = high & 0x8000 ? high | 0xffff0000 : high;
    const table = c.cpu.field(CpuLayout.ldtTable);
    if (!c.port.readBytesBy(table, at >>> 0, (top + (at > 0xffffffff ? 1 : 0)) >>> 0, eight)) return "fault";
    lo = eightView.getUint32(0, true);
    hi = eightView.getUint32(4, true);
    if (hi & Desc.S) hi = (hi | Desc.DPL_3) >>> 0; // Xen raises those of an LDT as it does those of a GDT.
    return "found";
  }
  if (entry >= RESERVED_ENTRIES) {
    const flat = FLAT[entry];
    if (!flat) return "outside";
    [lo, hi] = flat;
    return "found";
  }
  if (entry >= c.cpu.field(CpuLayout.gdtEntries)) return "outside";
  const frame = c.cpu.field(CpuLayout.gdtFrames + (entry >>> 9) * 4);
  const at = frame * 1024 + (entry & 511) * 2;
  lo = c.memory.u32[at];
  hi = c.memory.u32[at + 1];
  return "found";
}

function base(): number {
  return ((lo >>> 16) | ((hi & 0xff) << 16) | (hi & 0xff000000)) >>> 0;
}

/** Loads a data segment register; Next.NEXT, or the exit. */
function loadSegment(c: HostContext, segment: number, selector: number): number {
  const code = selector & 0xfffc;
  if (code === 0) {
    if (segment === Seg.SS) return c.fault(GP, 0);
    finish(c, segment, selector, 0);
    return Next.NEXT;
  }
  const found = lookUp(c, selector);
  if (found === "fault") return Next.EXIT;
  if (found === "outside" || !(hi & Desc.S)) return c.fault(GP, code);
  if (segment === Seg.SS) {
    if ((selector & 3) !== 3 || dpl(hi) !== 3 || hi & Desc.CODE || !(hi & Desc.RW)) return c.fault(GP, code);
    if (!(hi & Desc.P)) return c.fault(SS, code);
  } else {
    if (hi & Desc.CODE && !(hi & Desc.RW)) return c.fault(GP, code);
    const conforming = hi & Desc.CODE && hi & Desc.CONFORMING;
    if (!conforming && dpl(hi) !== 3) return c.fault(GP, code);
    if (!(hi & Desc.P)) return c.fault(NP, code);
  }
  finish(c, segment, selector, base());
  return Next.NEXT;
}

function finish(c: HostContext, segment: number, selector: number, address: number): void {
  c.cpu.setSelector(segment, selector);
  if (segment === Seg.FS) c.set(Slot.FS_BASE, address, 0);
  if (segment === Seg.GS) c.set(Slot.GS_BASE, address, 0);
}

/** Checks a code segment to be returned or jumped to at CPL 3; 0 when it will do, else the exit + 1. */
function checkCode(c: HostContext, selector: number, jump: boolean): number {
  const code = selector & 0xfffc;
  if (code === 0) return c.fault(GP, 0) + 1;
  const found = lookUp(c, selector);
  if (found === "fault") return Next.EXIT + 1;
  if (found === "outside" || !(hi & Desc.S) || !(hi & Desc.CODE)) return c.fault(GP, code) + 1;
  if (!jump && (selector & 3) !== 3) return c.fault(GP, code) + 1;
  if (!(hi & Desc.CONFORMING) && dpl(hi) !== 3) return c.fault(GP, code) + 1;
  if (!(hi & Desc.P)) return c.fault(NP, code) + 1;
  if (!(hi & Desc.L) || hi & Desc.D) {
    c.host.log(`x86: far transfer to a segment of 32-bit code, selector 0x${selector.toString(16)}: not supported`);
    return c.fault(GP, code) + 1;
  }
  return 0;
}

function canonicalHalves(high: number): boolean {
  const top = high >>> 15;
  return top === 0 || top === 0x1ffff;
}

const stackBytes = new Uint8Array(40);
const stackView = new DataView(stackBytes.buffer);

/** Reads `count` items of `bytes` from the stack; item i is at `i * bytes` of the view afterwards. */
function readStack(c: HostContext, count: number, bytes: number): boolean {
  return c.port.readBytes(c.lo(Reg.RSP), c.hi(Reg.RSP), stackBytes.subarray(0, count * bytes));
}

function stackItem(i: number, bytes: number): [number, number] {
  if (bytes === 2) return [stackView.getUint16(i * 2, true), 0];
  if (bytes === 4) return [stackView.getUint32(i * 4, true), 0];
  return [stackView.getUint32(i * 8, true), stackView.getUint32(i * 8 + 4, true)];
}

/** RFLAGS bits that iret and popf change at CPL 3, beside the arithmetic ones: TF, DF, NT, AC, ID. */
const CHANGEABLE = 0x244500;
const TF = 0x100;
const NT = 0x4000;

function iret(bytes: number): (c: HostContext) => number {
  return (c) => {
    if (c.rflags() & NT) return c.fault(GP, 0);
    if (!readStack(c, 5, bytes)) return Next.EXIT;
    const [ip, ipHi] = stackItem(0, bytes);
    const cs = stackItem(1, bytes)[0] & 0xffff;
    const flags = stackItem(2, bytes)[0];
    const [sp, spHi] = stackItem(3, bytes);
    const ss = stackItem(4, bytes)[0] & 0xffff;
    const bad = checkCode(c, cs, false);
    if (bad) return bad - 1;
    if (!canonicalHalves(ipHi)) return c.fault(GP, 0);
    const loaded = loadSegment(c, Seg.SS, ss);
    if (loaded === Next.EXIT) return Next.EXIT;
    c.cpu.setSelector(Seg.CS, cs);
    c.set(Reg.RSP, sp, spHi);
    c.setRflags(flags, bytes === 2 ? CHANGEABLE & 0xffff : CHANGEABLE);
    return flags & TF ? c.jumpOutside(ip, ipHi) : c.jump(ip, ipHi);
  };
}

function farReturn(bytes: number): (c: HostContext, uop: number) => number {
  return (c, uop) => {
    if (!readStack(c, 2, bytes)) return Next.EXIT;
    const [ip, ipHi] = stackItem(0, bytes);
    const cs = stackItem(1, bytes)[0] & 0xffff;
    const bad = checkCode(c, cs, false);
    if (bad) return bad - 1;
    if (!canonicalHalves(ipHi)) return c.fault(GP, 0);
    c.cpu.setSelector(Seg.CS, cs);
    addToRsp(c, 2 * bytes + (c.immediate(uop) & 0xffff));
    return c.jump(ip, ipHi);
  };
}

function farJump(bytes: number): (c: HostContext) => number {
  return (c) => {
    const pointer = stackBytes.subarray(0, bytes + 2);
    if (!c.port.readBytes(c.lo(Slot.TEMP), c.hi(Slot.TEMP), pointer)) return Next.EXIT;
    const [ip, ipHi] = stackItem(0, bytes);
    const cs = stackView.getUint16(bytes, true);
    const bad = checkCode(c, cs, true);
    if (bad) return bad - 1;
    if (!canonicalHalves(ipHi)) return c.fault(GP, 0);
    c.cpu.setSelector(Seg.CS, cs | 3);
    return c.jump(ip, ipHi);
  };
}

/** The address to return to is in BRANCH. */
function farCall(bytes: number): (c: HostContext) => number {
  return (c) => {
    const pointer = stackBytes.subarray(0, bytes + 2);
    if (!c.port.readBytes(c.lo(Slot.TEMP), c.hi(Slot.TEMP), pointer)) return Next.EXIT;
    const [ip, ipHi] = stackItem(0, bytes);
    const cs = stackView.getUint16(bytes, true);
    const bad = checkCode(c, cs, true);
    if (bad) return bad - 1;
    if (!canonicalHalves(ipHi)) return c.fault(GP, 0);
    const frame = stackBytes.subarray(0, 2 * bytes).fill(0);
    stackView.setUint32(0, c.lo(Slot.BRANCH), true);
    if (bytes === 8) stackView.setUint32(4, c.hi(Slot.BRANCH), true);
    stackView.setUint32(bytes, c.cpu.selector(Seg.CS), true);
    const at = c.lo(Reg.RSP) - 2 * bytes;
    if (!c.port.writeBytes(at >>> 0, (c.hi(Reg.RSP) - (at < 0 ? 1 : 0)) >>> 0, frame)) return Next.EXIT;
    addToRsp(c, -2 * bytes);
    c.cpu.setSelector(Seg.CS, cs | 3);
    return c.jump(ip, ipHi);
  };
}

/** lss, lfs, lgs: an offset into a general register, and the selector behind it. */
function loadPointer(segment: number, bytes: number): (c: HostContext, uop: number) => number {
  return (c, uop) => {
    const pointer = new Uint8Array(bytes + 2);
    if (!c.port.readBytes(c.lo(Slot.TEMP), c.hi(Slot.TEMP), pointer)) return Next.EXIT;
    const view = new DataView(pointer.buffer);
    const next = loadSegment(c, segment, view.getUint16(bytes, true));
    if (next !== Next.NEXT) return next;
    const register = c.register(uop, Uop.dst);
    if (bytes === 2) c.set(register, (c.lo(register) & 0xffff0000) | view.getUint16(0, true), c.hi(register));
    else c.set(register, view.getUint32(0, true), bytes === 8 ? view.getUint32(4, true) : 0);
    return Next.NEXT;
  };
}

function addToRsp(c: HostContext, bytes: number): void {
  const sum = c.lo(Reg.RSP) + bytes;
  const carry = sum > 0xffffffff ? 1 : sum < 0 ? -1 : 0;
  c.set(Reg.RSP, sum >>> 0, (c.hi(Reg.RSP) + carry) >>> 0);
}

function push(segment: number, bytes: number): (c: HostContext) => number {
  return (c) => {
    const item = stackBytes.subarray(0, bytes).fill(0);
    stackView.setUint16(0, c.cpu.selector(segment), true);
    const at = c.lo(Reg.RSP) - bytes;
    if (!c.port.writeBytes(at >>> 0, (c.hi(Reg.RSP) - (at < 0 ? 1 : 0)) >>> 0, item)) return Next.EXIT;
    addToRsp(c, -bytes);
    return Next.NEXT;
  };
}

function pop(segment: number, bytes: number): (c: HostContext) => number {
  return (c) => {
    if (!readStack(c, 1, bytes)) return Next.EXIT;
    const next = loadSegment(c, segment, stackView.getUint16(0, true));
    if (next === Next.NEXT) addToRsp(c, bytes);
    return next;
  };
}

/** lar and lsl: is the descriptor one that they tell of? `types`: the system types allowed. */
function visible(c: HostContext, selector: number, types: readonly number[]): Lookup {
  if ((selector & 0xfffc) === 0) return "outside";
  const found = lookUp(c, selector);
  if (found !== "found") return found;
  if (!(hi & Desc.S)) {
    if (!types.includes((hi >>> 8) & 15)) return "outside";
  } else if (hi & Desc.CODE && hi & Desc.CONFORMING) return "found";
  return dpl(hi) === 3 ? "found" : "outside";
}

function setZf(c: HostContext, zf: boolean): void {
  c.setRflags((c.rflags() & ~0x40) | (zf ? 0x40 : 0));
}

function tell(types: readonly number[], value: () => number): (c: HostContext, uop: number) => number {
  return (c, uop) => {
    const found = visible(c, c.lo(Slot.TEMP) & 0xffff, types);
    if (found === "fault") return Next.EXIT;
    if (found === "found") {
      const reg = c.register(uop, Uop.dst);
      if (c.operandSize(uop) === 16) c.set(reg, (c.lo(reg) & 0xffff0000) | (value() & 0xffff), c.hi(reg));
      else c.set(reg, value() >>> 0, 0);
    }
    setZf(c, found === "found");
    return Next.NEXT;
  };
}

function limit(): number {
  const raw = (lo & 0xffff) | (hi & 0xf0000);
  return hi & Desc.G ? ((raw << 12) | 0xfff) >>> 0 : raw;
}

function verify(allowed: () => boolean): (c: HostContext) => number {
  return (c) => {
    const found = visible(c, c.lo(Slot.TEMP) & 0xffff, []);
    if (found === "fault") return Next.EXIT;
    setZf(c, found === "found" && allowed());
    return Next.NEXT;
  };
}

for (const bytes of [2, 4, 8]) {
  registerHost(`iret${bytes * 8}`, iret(bytes));
  registerHost(`farReturn${bytes * 8}`, farReturn(bytes));
  registerHost(`farJump${bytes * 8}`, farJump(bytes));
  registerHost(`farCall${bytes * 8}`, farCall(bytes));
  registerHost(`lss${bytes * 8}`, loadPointer(Seg.SS, bytes));
  registerHost(`lfs${bytes * 8}`, loadPointer(Seg.FS, bytes));
  registerHost(`lgs${bytes * 8}`, loadPointer(Seg.GS, bytes));
  registerHost(`pushFs${bytes * 8}`, push(Seg.FS, bytes));
  registerHost(`pushGs${bytes * 8}`, push(Seg.GS, bytes));
  registerHost(`popFs${bytes * 8}`, pop(Seg.FS, bytes));
  registerHost(`popGs${bytes * 8}`, pop(Seg.GS, bytes));
}

/** mov register, Sreg: zero-extended to the operand's size. */
registerHost("movFromSegment", (c, uop) => {
  const segment = c.register(uop, Uop.src);
  if (segment > Seg.GS) return c.fault(UD, 0);
  const reg = c.register(uop, Uop.dst);
  const selector = c.cpu.selector(segment);
  if (c.operandSize(uop) === 16) c.set(reg, (c.lo(reg) & 0xffff0000) | selector, c.hi(reg));
  else c.set(reg, selector, 0);
  return Next.NEXT;
});
/** mov memory, Sreg: 16 bits whatever the operand size; the address is in TEMP. */
registerHost("storeSegment", (c, uop) => {
  const segment = c.register(uop, Uop.src);
  if (segment > Seg.GS) return c.fault(UD, 0);
  stackView.setUint16(0, c.cpu.selector(segment), true);
  const stored = c.port.writeBytes(c.lo(Slot.TEMP), c.hi(Slot.TEMP), stackBytes.subarray(0, 2));
  return stored ? Next.NEXT : Next.EXIT;
});
registerHost("movToSegment", (c, uop) => {
  const segment = c.register(uop, Uop.dst);
  if (segment === Seg.CS || segment > Seg.GS) return c.fault(UD, 0);
  return loadSegment(c, segment, c.lo(Slot.TEMP) & 0xffff);
});
registerHost(
  "lar",
  tell([2, 9, 11, 12], () => hi & 0x00ffff00),
);
registerHost("lsl", tell([2, 9, 11], limit));
registerHost(
  "verr",
  verify(() => (hi & Desc.S) !== 0 && (!(hi & Desc.CODE) || (hi & Desc.RW) !== 0)),
);
registerHost(
  "verw",
  verify(() => (hi & Desc.S) !== 0 && !(hi & Desc.CODE) && (hi & Desc.RW) !== 0),
);

registerHost("rdtsc", (c) => {
  const tsc = c.host.tsc(c.retiredNow());
  c.set(Reg.RAX, tsc.lo, 0);
  c.set(Reg.RDX, tsc.hi, 0);
  return Next.NEXT;
});
/** TSC_AUX is 0: the one processor's number. */
registerHost("rdtscp", (c) => {
  const tsc = c.host.tsc(c.retiredNow());
  c.set(Reg.RAX, tsc.lo, 0);
  c.set(Reg.RDX, tsc.hi, 0);
  c.set(Reg.RCX, 0, 0);
  return Next.NEXT;
});
