// Time as guests see it: the clock and the timers together, the wallclock in shared_info, and the pvclock structure in
// each vcpu_info (public/xen.h, struct vcpu_time_info). The TSC counts nanoseconds of system time (1 GHz), so the scale
// is 1 and the structure, once written, stays true; it is written again whenever its place moves.
//
// Protocol of vcpu_time_info and of the wallclock, both written by Xen alone: 1. make the version odd; 2. write the fields;
// 3. make it even. A guest reads version, fields, version, and again if they differ or are odd. Guests run only between
// our writes, on the same thread; the order is kept for readers on others.

import { SharedInfo, VcpuInfo, VcpuTimeInfo, XEN_PVCLOCK_TSC_STABLE_BIT } from "../../shared/abi/xen.ts";
import type { Mfn } from "../../shared/brand.ts";
import { FRAME_SIZE, type MachineMemory } from "../machine/memory.ts";
import type { Clock } from "./clock.ts";
import { Timers } from "./timers.ts";

/** With tsc_shift 1 the factor 2^31 makes ((tsc << 1) * mul) >> 32 the tsc itself. */
const TSC_MUL_ONE = 0x80000000;

/** Bits 63 to 32 of a time in ns, which may be above 2^53: after 104 days. */
export function nsHigh(ns: number): number {
  return Math.floor(ns / 4294967296) >>> 0;
}

export class Time {
  readonly clock: Clock;
  readonly timers = new Timers();
  /** Nanoseconds since 1970 at system time 0. */
  readonly wallclockAtBoot: bigint;
  readonly #memory: MachineMemory;

  constructor(memory: MachineMemory, clock: Clock, wallclockAtBoot: bigint) {
    this.#memory = memory;
    this.clock = clock;
    this.wallclockAtBoot = wallclockAtBoot;
  }

  /** System time: nanoseconds since boot. */
  now(): number {
    return this.clock.now();
  }

  /** Writes the vcpu_time_info inside the vcpu_info at a byte address of machine memory. */
  updateVcpuTime(vcpuInfo: number): void {
    const info = VcpuTimeInfo.at(this.#memory.view, vcpuInfo + VcpuInfo.offsets.time);
    const word = (info.$base + VcpuTimeInfo.offsets.version) >>> 2;
    const version = Atomics.load(this.#memory.i32, word) & ~1;
    Atomics.store(this.#memory.i32, word, version | 1);
    const now = this.now();
    info.tsc_timestamp_lo = now >>> 0;
    info.tsc_timestamp_hi = nsHigh(now);
    info.system_time_lo = now >>> 0;
    info.system_time_hi = nsHigh(now);
    info.tsc_to_system_mul = TSC_MUL_ONE;
    info.tsc_shift = 1;
    info.flags = XEN_PVCLOCK_TSC_STABLE_BIT;
    Atomics.store(this.#memory.i32, word, (version + 2) | 0);
  }

  /** Writes the wallclock of a domain's shared_info: the time of day at system time 0, plus the domain's own offset. */
  updateWallclock(sharedInfo: Mfn, offsetSeconds: number): void {
    const base = sharedInfo * FRAME_SIZE;
    const info = SharedInfo.at(this.#memory.view, base);
    const word = (base + SharedInfo.offsets.wc_version) >>> 2;
    const version = Atomics.load(this.#memory.i32, word) & ~1;
    Atomics.store(this.#memory.i32, word, version | 1);
    const ns = this.wallclockAtBoot + BigInt(offsetSeconds) * 1_000_000_000n;
    const seconds = ns / 1_000_000_000n;
    info.wc_sec = Number(seconds & 0xffffffffn);
    info.wc_sec_hi = Number((seconds >> 32n) & 0xffffffffn);
    info.wc_nsec = Number(ns % 1_000_000_000n);
    Atomics.store(this.#memory.i32, word, (version + 2) | 0);
  }
}
