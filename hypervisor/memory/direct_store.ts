// Direct stores to level-1 tables: with vm_assist(writable_pagetables) a guest kernel may write to its own L1 tables as
// if they were writable. The store faults; the processor then executes that one instruction against a copy of the page;
// the one entry that came out different is validated and applied like an mmu_update. Called by the page-fault path. As
// Xen 4.17's writable page tables, except that a store need only stay within one entry, not be naturally aligned.
// Left out: stores to tables above level 1, and from user mode: they fault, as in Xen.

import { VMASST_TYPE_writable_pagetables } from "../../shared/abi/xen.ts";
import type { Mfn, Va } from "../../shared/brand.ts";
import { CpuLayout, type CpuState, Reg } from "../machine/cpu_state.ts";
import { FRAME_SIZE, type MachineMemory } from "../machine/memory.ts";
import { Exit } from "../machine/processor.ts";
import { Pte, pteMfn } from "../machine/pte.ts";
import { PageFaultCode } from "../machine/walk.ts";
import type { Vcpu } from "../vcpu.ts";
import type { MemoryManagement } from "./mmu.ts";

/** What is asked of the processor: one instruction, with the page of `va` writable and at frame `mfn`. */
export interface Stepper {
  readonly retired: number;
  stepWithOverride(cpu: CpuState, va: Va, mfn: Mfn): Exit;
}

const PAGE_FAULT = 14;
const CARED_FOR = PageFaultCode.P | PageFaultCode.W | PageFaultCode.RSVD | PageFaultCode.I;
const WORDS = FRAME_SIZE / 4;

export class DirectStores {
  readonly #u32: Uint32Array;
  readonly #mm: MemoryManagement;
  readonly #x86: Stepper;
  readonly #memory: MachineMemory;
  /** What the instruction is executed against. */
  readonly #copy: Mfn;
  /** The table before the step: walks during it may set accessed and dirty bits in the table itself. */
  readonly #before: Mfn;
  /** The vcpu's state before the step. */
  readonly #saved: Mfn;

  constructor(memory: MachineMemory, mm: MemoryManagement, x86: Stepper) {
    this.#u32 = memory.u32;
    this.#mm = mm;
    this.#x86 = x86;
    this.#memory = memory;
    const frame = (): Mfn => {
      const mfn = mm.frames.allocXen();
      if (mfn === -1) throw new RangeError("machine memory is too small");
      return mfn;
    };
    this.#copy = frame();
    this.#before = frame();
    this.#saved = frame();
  }

  /** True when the vcpu's page fault was such a store and it has been done; else nothing changed but see below. */
  handle(vcpu: Vcpu): boolean {
    const { cpu, domain } = vcpu;
    if (!vcpu.kernelMode || !(domain.vmAssist & (1 << VMASST_TYPE_writable_pagetables))) return false;
    if ((cpu.field(CpuLayout.errorCode) & CARED_FOR) !== (PageFaultCode.P | PageFaultCode.W)) return false;
    const va = cpu.va(Reg.CR2);
    const table = this.#tableAt(vcpu, va);
    return table !== -1 && va !== -1 && this.#perform(vcpu, va, table);
  }

  /** The domain's own L1 table that is mapped read-only at `va`, or -1. */
  #tableAt(vcpu: Vcpu, va: Va | -1): Mfn | -1 {
    const word = this.#mm.findL1(vcpu, va);
    if (word === -1) return -1;
    const lo = this.#u32[word];
    const mfn = pteMfn(lo, this.#u32[word + 1]);
    if ((lo & (Pte.P | Pte.RW)) !== Pte.P || mfn === -1 || !this.#mm.frames.isValid(mfn)) return -1;
    return this.#mm.frames.owner[mfn] === vcpu.domain.id && this.#mm.tableLevel(mfn) === 1 ? mfn : -1;
  }

  /**
   * Executes the instruction. When it faults elsewhere, that fault is the guest's, and the state says so; when what it
   * wrote is refused, the registers are as before and the first fault is the guest's.
   */
  #perform(vcpu: Vcpu, va: Va, table: Mfn): boolean {
    const { cpu } = vcpu;
    const memory = this.#memory;
    cpu.moveHome();
    memory.copy(this.#saved * FRAME_SIZE, cpu.address, CpuLayout.size);
    memory.copy(this.#before * FRAME_SIZE, table * FRAME_SIZE, FRAME_SIZE);
    memory.copy(this.#copy * FRAME_SIZE, table * FRAME_SIZE, FRAME_SIZE);
    const exit = this.#x86.stepWithOverride(cpu, va, this.#copy);
    const done = this.#x86.retired === 1;
    if (done && this.#apply(table)) return true;
    if (done || exit !== Exit.Exception || cpu.field(CpuLayout.vector) !== PAGE_FAULT) {
      cpu.moveHome();
      memory.copy(cpu.address, this.#saved * FRAME_SIZE, CpuLayout.size);
    }
    return !done && exit === Exit.Interrupted; // Something urgent came before the step: the guest simply tries again.
  }

  #apply(table: Mfn): boolean {
    const changed = this.#memory.differ(this.#copy, this.#before, 0);
    if (changed === FRAME_SIZE) return true;
    if (this.#memory.differ(this.#copy, this.#before, changed + 8) !== FRAME_SIZE) return false;
    const from = this.#copy * WORDS + changed / 4;
    const lo = this.#u32[from];
    const hi = this.#u32[from + 1];
    return this.#mm.setEntry(1, table * WORDS + changed / 4, lo, hi, this.#mm.frames.ownerOf(table)) === 0;
  }
}
