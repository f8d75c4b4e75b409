// When regions of hot code are made and when they go: by samples, when their code changes or their frame does, when there
// are too many; and calls to other pages, which regions take along as long as these are mapped as they were.
import { beforeEach, describe, expect, it } from "vitest";
import { Exit } from "../../../../hypervisor/machine/processor.ts";
import { Pte } from "../../../../hypervisor/machine/pte.ts";
import type { Mfn, Va } from "../../../../shared/brand.ts";
import { CODE, DATA, hex, Machine, Reg } from "./harness.ts";

const USER = Pte.P | Pte.RW | Pte.US;
const ROUNDS = 100_000;
/** mov ecx, 100000; 1: add eax, 1; dec ecx; jnz 1b; hlt. The addend is at offset 7. */
const LOOP = "b9a0860100 83c001 ffc9 75f9 f4";

let m: Machine;
beforeEach(() => {
  m = new Machine();
  m.processor.regions.called = 0;
});

/** Runs from an address on to a hlt; RAX then. */
function result(address = CODE): bigint {
  m.set(Reg.RAX, 0);
  m.set(Reg.RIP, address);
  let exit: Exit;
  do exit = m.processor.run(m.cpu, 1_000_000);
  while (exit === Exit.Budget);
  expect(exit).toBe(Exit.Privileged);
  return m.get(Reg.RAX);
}

const frameOf = (address: number): Mfn => (m.at(address) >>> 12) as Mfn;

describe("a region", () => {
  it("is made when samples find its code hot, and not before", () => {
    const { regions } = m.processor;
    regions.threshold = 2_000_000;
    m.load(LOOP);
    for (let i = 0; i < 5; i++) expect(result()).toBe(BigInt(ROUNDS));
    expect(regions.compiled).toBe(0);
    // 5,000,000 rounds: slices end after each 262,144 instructions.
    m.write(CODE, hex("b9404b4c00"));
    m.processor.tlb.dropCode(frameOf(CODE));
    expect(result()).toBe(5_000_000n);
    expect(regions.compiled).toBe(1);
    expect(regions.size).toBe(1);
    expect(result()).toBe(5_000_000n);
  });

  it("is not made while slices are so short that going in and out costs more", () => {
    const { regions } = m.processor;
    regions.threshold = 0;
    // 1: mov eax, 3; dec ecx; jnz 1b; hlt: 92 instructions at a time, as a guest has that makes hypercalls.
    m.load("b91e000000 b803000000 ffc9 75f7 f4");
    const short = (): void => {
      for (let i = 0; i < 12_000; i++) result();
    };
    regions.worth = 200;
    short();
    const before = regions.compiled;
    regions.worth = 50;
    short();
    expect([before, regions.compiled > 0]).toEqual([0, true]);
  });

  it("is not made when the tier is off", () => {
    m.processor.regions.enabled = false;
    m.processor.regions.threshold = 0;
    m.load("b9404b4c00 83c001 ffc9 75f9 f4");
    expect(result()).toBe(5_000_000n);
    expect(m.processor.regions.compiled).toBe(0);
  });

  it("goes when its code is written to through another mapping, also by itself", () => {
    m.load(LOOP);
    result();
    expect(m.processor.compile([(CODE + 5) as Va])).toBe(true);
    expect(m.processor.regions.size).toBe(1);
    m.map(DATA + 0x10000, USER, 0, frameOf(CODE));
    m.set(Reg.RBX, DATA + 0x10000);
    // mov byte [rbx + 7], 3; jmp to the loop
    m.write(CODE + 4096 - 512, hex("c6430703 e9f7f1ffff"));
    expect(result(CODE + 4096 - 512)).toBe(BigInt(ROUNDS * 3));
    expect(m.processor.regions.size).toBe(0);
  });

  it("sees a store that begins beside code and ends in it", () => {
    // mov ecx, 10000; 1: mov dword [rbx], 0x09b8cccc; call f; dec ecx; jnz 1b; hlt   f: mov eax, 5; ret
    m.load("b910270000 c703ccccb809 e8f0070000 ffc9 75f1 f4");
    m.write(CODE + 2048, hex("b805000000 c3"));
    m.map(DATA, USER, 0, frameOf(CODE));
    m.set(Reg.RBX, DATA + 1024);
    expect(result()).toBe(5n);
    m.processor.compile([(CODE + 5) as Va]);
    expect(result()).toBe(5n);
    m.set(Reg.RBX, DATA + 2046);
    expect(result()).toBe(9n);
  });

  // An immediate, a register, an operand's size, memory, another instruction, a shorter one, a branch, none at all, a store's target.
  it.each(["83c002", "83c101", "4883c001", "830001", "b8ed5e0000", "90", "ebfe", "0f0b", "8801", "f083000190"])(
    "takes nothing from bytes that were changed behind the processor's back (%s)",
    (bytes) => {
      m.load(LOOP);
      expect(result()).toBe(BigInt(ROUNDS));
      m.write(CODE + 5, hex(bytes));
      m.processor.compile([(CODE + 5) as Va]);
      m.processor.compile([(CODE + 8) as Va]);
      expect(result()).toBe(BigInt(ROUNDS));
    },
  );

  it("goes with its frame", () => {
    m.load(LOOP);
    result();
    m.processor.compile([(CODE + 5) as Va]);
    m.processor.tlb.retire(frameOf(CODE));
    expect(m.processor.regions.size).toBe(0);
    expect(m.processor.compile([(CODE + 5) as Va])).toBe(false);
    expect(result()).toBe(BigInt(ROUNDS));
  });

  it("leaves when there are too many, and its code still runs", () => {
    const { regions } = m.processor;
    regions.most = 10;
    for (let i = 0; i < 12; i++) m.load(LOOP, CODE + i * 64);
    for (let i = 0; i < 12; i++) {
      expect(result(CODE + i * 64)).toBe(BigInt(ROUNDS));
      expect(m.processor.compile([(CODE + i * 64 + 5) as Va])).toBe(true);
      expect(result(CODE + i * 64)).toBe(BigInt(ROUNDS));
      expect(regions.size).toBeLessThanOrEqual(3);
    }
    expect(regions.compiled).toBe(12);
  });

  it("knows at which of its addresses it is after an indirect jump from one to the other", () => {
    for (const page of [0, 1]) {
      const mfn = page === 0 ? frameOf(CODE) : frameOf(CODE + 4096);
      m.map(CODE + 0x100000 + page * 4096, Pte.P | Pte.US, 0, mfn);
    }
    // mov ecx, 999; 1: call f; dec ecx; jnz 1b; hlt   f, in the next page: xor qword [rsp], 0x100000; ret
    m.load("b9e7030000 e8f60f0000 ffc9 75f7 f4");
    m.write(CODE + 4096, hex("4881342400001000 c3"));
    for (let i = 0; i < 3; i++) {
      result();
      expect(m.get(Reg.RIP)).toBe(BigInt(CODE + 0x100000 + 14));
      if (i === 0) expect(m.processor.compile([(CODE + 5) as Va])).toBe(true);
    }
  });

  it("does not take an old translation of a page with code for one that holds", () => {
    // mov ecx, 100000; 1: add [rbx], ecx; dec ecx; jnz 1b; hlt
    m.load("b9a0860100 010b ffc9 75fa f4");
    m.map(DATA, USER, 0, frameOf(CODE));
    m.set(Reg.RBX, DATA + 2048);
    result();
    m.processor.compile([(CODE + 5) as Va]);
    m.write(CODE + 2048, [0, 0, 0, 0]);
    result();
    const sum = [0x50, 0xb5, 0x06, 0x2a]; // 100000 * 100001 / 2, modulo 2^32
    expect(m.read(CODE + 2048, 4)).toEqual(sum);
    // A new frame there; the TLB is flushed by a new number for the table, its old entry stays.
    const mfn = m.map(DATA, USER);
    m.processor.tlb.flushAll();
    result();
    expect([...m.memory.frame(mfn).subarray(2048, 2052)]).toEqual(sum);
    expect(m.read(CODE + 2048, 4)).toEqual(sum);
  });

  it("takes along a function in another page, as long as that is mapped there", () => {
    // mov ecx, 100000; 1: call f; dec ecx; jnz 1b; hlt   f, in the next page: add eax, 1; ret
    m.load("b9a0860100 e8f60f0000 ffc9 75f7 f4");
    m.write(CODE + 4096, hex("83c001 c3"));
    expect(result()).toBe(BigInt(ROUNDS));
    expect(m.processor.compile([(CODE + 5) as Va])).toBe(true);
    expect(result()).toBe(BigInt(ROUNDS));
    m.map(CODE + 4096, Pte.P | Pte.US);
    m.write(CODE + 4096, hex("83c005 c3"));
    m.processor.tlb.flushPage((CODE + 4096) as Va);
    expect(result()).toBe(BigInt(ROUNDS * 5));
    // One frame at two addresses: the second is a region's, too.
    m.map(CODE + 0x100000, Pte.P | Pte.US, 0, frameOf(CODE));
    m.map(CODE + 0x101000, Pte.P | Pte.US, 0, frameOf(CODE + 4096));
    expect(result(CODE + 0x100000)).toBe(BigInt(ROUNDS * 5));
    expect(m.get(Reg.RIP)).toBe(BigInt(CODE + 0x100000 + 14));
  });
});
