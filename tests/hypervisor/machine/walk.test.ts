// The page walker: translation, rights, accessed and dirty bits, and the error code of each kind of fault.
import { beforeEach, describe, expect, it } from "vitest";
import { allocateMemory, MachineMemory } from "../../../hypervisor/machine/memory.ts";
import { Pte, PteHi, pteLo, pteMfn, tableIndex } from "../../../hypervisor/machine/pte.ts";
import { Access, PageWalker } from "../../../hypervisor/machine/walk.ts";
import type { Mfn, Va } from "../../../shared/brand.ts";

const USER = Pte.P | Pte.RW | Pte.US;
const VA = 0xffff_8123_4567 as Va;
let memory: MachineMemory;
let walker: PageWalker;

/** Sets the entry of the level-`level` table, which is frame 16 + level. */
function setEntry(level: number, mfn: number, flags: number, hi = 0): void {
  const at = ((16 + level) * 4096 + tableIndex(VA, level) * 8) >>> 2;
  memory.u32[at] = pteLo(mfn as Mfn, flags);
  memory.u32[at + 1] = hi;
}

function entry(level: number): number {
  return memory.u32[((16 + level) * 4096 + tableIndex(VA, level) * 8) >>> 2];
}

beforeEach(() => {
  memory = new MachineMemory(allocateMemory(8));
  walker = new PageWalker(memory);
  for (let level = 4; level > 1; level--) setEntry(level, 16 + level - 1, USER);
  setEntry(1, 77, USER);
});

const walk = (access: number) => walker.walk(20 as Mfn, VA, access);

describe("PageWalker", () => {
  it("translates and marks every level accessed, the page dirty only when written", () => {
    expect(walk(Access.READ)).toBe(77);
    for (let level = 1; level <= 4; level++) expect(entry(level) & (Pte.A | Pte.D)).toBe(Pte.A);
    expect([walker.writable, walker.executable, walker.dirty]).toEqual([true, true, false]);
    expect(walk(Access.WRITE)).toBe(77);
    expect(entry(1) & Pte.D).toBe(Pte.D);
    expect(entry(2) & Pte.D).toBe(0);
    expect(walker.dirty).toBe(true);
    expect(walker.entry).toBe(17 * 4096 + tableIndex(VA, 1) * 8);
  });

  it.each([1, 2, 3, 4])("faults as not present at level %i and changes nothing", (level) => {
    setEntry(level, 77, USER & ~Pte.P);
    const before = memory.u32.slice(16 * 1024, 21 * 1024);
    expect(walk(Access.WRITE)).toBe(-1);
    expect(walker.errorCode).toBe(0b00110);
    expect(walk(Access.EXEC)).toBe(-1);
    expect(walker.errorCode).toBe(0b10100);
    expect(memory.u32.slice(16 * 1024, 21 * 1024)).toEqual(before);
  });

  it.each([1, 2, 3, 4])("takes the rights of level %i into account", (level) => {
    const next = level === 1 ? 77 : 16 + level - 1;
    setEntry(level, next, USER & ~Pte.RW);
    expect(walk(Access.READ)).toBe(77);
    expect(walker.writable).toBe(false);
    expect(walk(Access.WRITE)).toBe(-1);
    expect(walker.errorCode).toBe(0b00111);
    setEntry(level, next, USER & ~Pte.US);
    expect(walk(Access.READ)).toBe(-1);
    expect(walker.errorCode).toBe(0b00101);
    setEntry(level, next, USER, PteHi.NX);
    expect(walk(Access.READ)).toBe(77);
    expect(walk(Access.EXEC)).toBe(-1);
    expect(walker.errorCode).toBe(0b10101);
  });

  it("reports reserved bits: address bits beyond the machine, a large level-4 entry", () => {
    setEntry(1, 77, USER, 1);
    expect(walk(Access.READ)).toBe(-1);
    expect(walker.errorCode).toBe(0b01101);
    setEntry(1, memory.frames, USER);
    expect(walk(Access.READ)).toBe(-1);
    expect(walker.errorCode).toBe(0b01101);
    setEntry(4, 19, USER | Pte.PSE);
    expect(walk(Access.WRITE)).toBe(-1);
    expect(walker.errorCode).toBe(0b01111);
  });

  it("walks 2 MiB pages, and refuses a misaligned one", () => {
    setEntry(2, 512, USER | Pte.PSE);
    expect(walk(Access.WRITE)).toBe(512 + (Math.floor(VA / 4096) & 511));
    expect(walker.level).toBe(2);
    expect(entry(2) & Pte.D).toBe(Pte.D);
    setEntry(2, 514, USER | Pte.PSE);
    expect(walk(Access.READ)).toBe(-1);
    expect(walker.errorCode & 8).toBe(8);
  });

  it("splits and joins entries", () => {
    expect(pteMfn(pteLo(0xfffff as Mfn, USER), PteHi.NX | PteHi.GUEST_KERNEL)).toBe(0xfffff);
    expect(pteMfn(0x1067, 1)).toBe(-1);
  });
});
