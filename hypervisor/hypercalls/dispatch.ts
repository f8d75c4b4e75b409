// From registers to a handler and back: one hypercall as the processor brought it. Called by the main loop for `syscall` in
// kernel mode, through Hypervisor.hypercall by TypeScript kernels, and by multicall for each of its entries.
// Numbers, names and handlers are table.ts's; what is not there answers -ENOSYS.

import { XEN_ENOSYS } from "../../shared/abi/errno.ts";
import type { Hypervisor } from "../hypervisor.ts";
import { Reg } from "../machine/cpu_state.ts";
import type { Vcpu } from "../vcpu.ts";
import { Args, CONTINUE, NO_RESULT } from "./args.ts";
import { type Hypercall, hypercallTable } from "./table.ts";

/** Fixed cost of a hypercall on the virtual clock, ns; handlers add theirs. */
const HYPERCALL_NS = 200;
const MULTICALL_ENTRY_NS = 100;

export class Dispatcher {
  readonly #hv: Hypervisor;
  readonly #table: readonly (Hypercall | undefined)[] = hypercallTable();
  readonly #args = new Args();
  /** Arguments of the multicall entry being carried out. */
  readonly inner = new Args();
  inMulticall = false;

  constructor(hv: Hypervisor) {
    this.#hv = hv;
  }

  /**
   * Carries out the hypercall in the vcpu's registers and sets RAX. CONTINUE: it is not done; the registers hold what is
   * left, and it must be issued again.
   */
  call(vcpu: Vcpu): number {
    const hv = this.#hv;
    const cpu = vcpu.cpu;
    hv.charge(HYPERCALL_NS);
    const nr = cpu.lo(Reg.RAX);
    const call = cpu.hi(Reg.RAX) === 0 ? this.#table[nr] : undefined;
    if (call !== undefined) this.#args.loadRegisters(cpu, call.args);
    const result = this.#run(vcpu, call, this.#args, nr);
    if (result === CONTINUE) this.#args.storeRegisters(cpu);
    else if (result !== NO_RESULT) cpu.setNum(Reg.RAX, result);
    return result;
  }

  /** An entry of a multicall, its arguments in `inner`. */
  callInner(vcpu: Vcpu, nr: number): number {
    this.#hv.charge(MULTICALL_ENTRY_NS);
    return this.#run(vcpu, this.#table[nr], this.inner, nr);
  }

  #run(vcpu: Vcpu, call: Hypercall | undefined, args: Args, nr: number): number {
    const hv = this.#hv;
    if (!hv.trace.hypercalls) return call === undefined ? -XEN_ENOSYS : call.handler(hv, vcpu, args);
    const values = args.values(call?.args ?? 0);
    const result = call === undefined ? -XEN_ENOSYS : call.handler(hv, vcpu, args);
    hv.trace.emitter.emit("hypercall", vcpu, nr, call?.name ?? "?", values, result);
    return result;
  }
}
