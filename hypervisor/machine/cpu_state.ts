// One virtual processor's registers, as they lie in machine memory: the contract between the processors, which run
// them, and the hypervisor, which reads and rewrites them between runs. Each vcpu has a block of its own. A processor may
// take the registers (not the rest of the block) into a place of its own, and they stay there until it runs another vcpu:
// moving them to and fro took a seventh of a hypercall's time. So everybody goes through CpuState, which knows where they are.

import type { Va } from "../../shared/brand.ts";
import type { MachineMemory } from "./memory.ts";

/** Registers by number: the 16 general ones in the order in which instructions encode them, then the rest. */
export const Reg = {
  RAX: 0,
  RCX: 1,
  RDX: 2,
  RBX: 3,
  RSP: 4,
  RBP: 5,
  RSI: 6,
  RDI: 7,
  R8: 8,
  R9: 9,
  R10: 10,
  R11: 11,
  R12: 12,
  R13: 13,
  R14: 14,
  R15: 15,
  RIP: 16,
  /** Flags as `pushf` shows them: bit 1 and IF set, IOPL 0. */
  RFLAGS: 17,
  FS_BASE: 18,
  /** The base that `gs:` uses now. */
  GS_BASE: 19,
  /** The other one (IA32_KERNEL_GS_BASE): what `swapgs` would bring in. Only the hypervisor uses it. */
  GS_BASE_OTHER: 20,
  /** Faulting address of the last page fault that the processor reported. */
  CR2: 21,
} as const;

/** Byte offsets in the state block. */
export const CpuLayout = {
  /** 22 registers of 8 bytes, by `Reg`, unless a processor has them. */
  registers: 0,
  /** Selectors, u16 each, by `Seg`. */
  selectors: 0xb0,
  /** u32: machine frame of the level-4 table that this vcpu runs on now. */
  cr3: 0xc0,
  /** u32: 1 when the next x87/SSE instruction is to raise #NM (CR0.TS). */
  ts: 0xc4,
  /** u32: vector of the exception that ended the last run. */
  vector: 0xc8,
  /** u32: its error code (0 for vectors without one). */
  errorCode: 0xcc,
  /** u32: number of GDT entries that the guest registered (0 to 7168), its frames in `gdtFrames`. */
  gdtEntries: 0xd0,
  /** u32: number of LDT entries, and 48-bit base address (u64) of the LDT as the guest gave it. */
  ldtEntries: 0xd4,
  ldtBase: 0xd8,
  /** 14 u32: machine frames of the guest's GDT. Entries from 7168 up are the hypervisor's own flat segments. */
  gdtFrames: 0xe0,
  /** u32: machine frame of the level-4 table by which the LDT is read: the kernel's, in user mode too. */
  ldtTable: 0x118,
  /** 16 u64 from here to 0x1f0 belong to the processor that runs the vcpu (lazy flags, scratch). */
  scratch: 0x140,
  /** 512 bytes in the form of `fxsave64`: x87, MXCSR and XMM registers. */
  fxsave: 0x200,
  /** Upper halves of YMM, kept free. */
  ymm: 0x400,
  size: 0x800,
} as const;

export const Seg = { ES: 0, CS: 1, SS: 2, DS: 3, FS: 4, GS: 5 } as const;

const REGISTER_BYTES = CpuLayout.selectors - CpuLayout.registers;

/** Where a processor keeps the registers of the vcpu that it ran last. */
export interface RegisterFile {
  /** Byte address of 22 registers of 8 bytes, by `Reg`. */
  readonly address: number;
  /** Whose registers they are. */
  holder: CpuState | undefined;
}

export class CpuState {
  /** Byte address of the block in machine memory, 64-byte aligned. */
  readonly address: number;
  readonly #memory: MachineMemory;
  readonly #u32: Uint32Array;
  readonly #u16: Uint16Array;
  /** Where the registers are, in 32-bit words: in the block, or in this file. */
  #word: number;
  #file: RegisterFile | undefined = undefined;

  constructor(memory: MachineMemory, address: number) {
    this.address = address;
    this.#memory = memory;
    this.#u32 = memory.u32;
    this.#u16 = memory.u16;
    this.#word = address >>> 2;
  }

  lo(reg: number): number {
    return this.#u32[this.#word + reg * 2];
  }

  hi(reg: number): number {
    return this.#u32[this.#word + reg * 2 + 1];
  }

  set(reg: number, lo: number, hi: number): void {
    this.#u32[this.#word + reg * 2] = lo;
    this.#u32[this.#word + reg * 2 + 1] = hi;
  }

  /** For the processor that is going to run the vcpu: the registers move there from the block, and those of another out. */
  moveTo(file: RegisterFile): void {
    file.holder?.moveHome();
    file.holder = this;
    this.#memory.copy(file.address, this.address, REGISTER_BYTES);
    this.#word = file.address >>> 2;
    this.#file = file;
  }

  /** The registers move back into the block, if they aren't there: to be called before it is copied, or another's. */
  moveHome(): void {
    if (this.#file === undefined) return;
    this.#file.holder = undefined;
    this.#memory.copy(this.address, this.#word * 4, REGISTER_BYTES);
    this.#word = this.address >>> 2;
    this.#file = undefined;
  }

  /** The register as an unsigned number. From 2^53 up it is rounded, and so still fails every range check. */
  num(reg: number): number {
    return this.lo(reg) + this.hi(reg) * 4294967296;
  }

  /** Sets the register to a signed whole number of magnitude below 2^53, such as a hypercall's result. */
  setNum(reg: number, value: number): void {
    const lo = value | 0;
    this.set(reg, lo, lo === value ? lo >> 31 : Math.floor(value / 4294967296));
  }

  /** The register as a virtual address, or -1 when it is not canonical. */
  va(reg: number): Va | -1 {
    return canonical(this.lo(reg), this.hi(reg));
  }

  setVa(reg: number, va: Va): void {
    this.set(reg, va >>> 0, vaHigh(va));
  }

  big(reg: number): bigint {
    return (BigInt(this.hi(reg)) << 32n) | BigInt(this.lo(reg));
  }

  setBig(reg: number, value: bigint): void {
    this.set(reg, Number(value & 0xffffffffn), Number((value >> 32n) & 0xffffffffn));
  }

  selector(seg: number): number {
    return this.#u16[(this.address + CpuLayout.selectors + seg * 2) >>> 1];
  }

  setSelector(seg: number, value: number): void {
    this.#u16[(this.address + CpuLayout.selectors + seg * 2) >>> 1] = value;
  }

  /** One of the u32 fields of `CpuLayout`. */
  field(offset: number): number {
    return this.#u32[(this.address + offset) >>> 2];
  }

  setField(offset: number, value: number): void {
    this.#u32[(this.address + offset) >>> 2] = value;
  }
}

/** The 48-bit form of a 64-bit address given as halves, or -1 when bits 63 to 47 are not all equal. */
export function canonical(lo: number, hi: number): Va | -1 {
  const top = hi >>> 15;
  if (top !== 0 && top !== 0x1ffff) return -1;
  return ((lo >>> 0) + (hi & 0xffff) * 4294967296) as Va;
}

/** Bits 63 to 32 of the full address that a 48-bit form stands for. */
export function vaHigh(va: Va): number {
  return ((va / 65536) >> 16) >>> 0; // Bits 47 to 16 as an int, so that the shift repeats bit 47.
}
