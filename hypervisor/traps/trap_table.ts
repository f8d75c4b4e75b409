// The trap table of one vcpu: where its kernel wants each of the 256 vectors delivered. Set by set_trap_table and the
// vcpu contexts; read by bounce.ts and by the software interrupts' check. Implements struct trap_info of public/arch-x86/
// xen.h. An address of 0 stands for "no handler".

import { TI_FLAG_DPL_MASK, TI_FLAG_IF } from "../../shared/abi/arch_x86.ts";
import type { Va } from "../../shared/brand.ts";

export class TrapTable {
  readonly #address = new Float64Array(256);
  readonly #cs = new Uint16Array(256);
  readonly #flags = new Uint8Array(256);

  /** The caller has checked that the address is canonical. */
  set(vector: number, flags: number, cs: number, address: Va): void {
    this.#address[vector] = address;
    this.#cs[vector] = cs;
    this.#flags[vector] = flags;
  }

  clear(): void {
    this.#address.fill(0);
    this.#cs.fill(0);
    this.#flags.fill(0);
  }

  /** 0: none. */
  address(vector: number): Va | 0 {
    return this.#address[vector] as Va;
  }

  cs(vector: number): number {
    return this.#cs[vector];
  }

  flags(vector: number): number {
    return this.#flags[vector];
  }

  /** Lowest privilege (1: kernel, 3: user) from which `int n` may use the entry. */
  dpl(vector: number): number {
    return this.#flags[vector] & TI_FLAG_DPL_MASK;
  }

  /** Are events to be masked on entry? */
  masksEvents(vector: number): boolean {
    return (this.#flags[vector] & TI_FLAG_IF) !== 0;
  }
}
