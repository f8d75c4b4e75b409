// System time and wallclock of a TypeScript kernel, from what Xen keeps in shared_info (public/xen.h, vcpu_time_info):
// the time at the last update, plus the TSC's cycles since, scaled. Versions are odd while Xen writes.

import { SharedInfo, VcpuInfo, VcpuTimeInfo } from "../../shared/abi/xen.ts";
import type { KernelCpu } from "../../shared/kernel.ts";

export class Clock {
  readonly #cpu: KernelCpu;
  readonly #view: DataView;
  readonly #time;

  /** `sharedInfo` is the bytes of the shared_info page; the kernel runs on vcpu 0. */
  constructor(cpu: KernelCpu, sharedInfo: Uint8Array<SharedArrayBuffer>) {
    this.#cpu = cpu;
    this.#view = new DataView(sharedInfo.buffer, sharedInfo.byteOffset, sharedInfo.byteLength);
    this.#time = VcpuTimeInfo.at(this.#view, VcpuInfo.offsets.time);
  }

  /** System time: nanoseconds since the machine started. */
  systemTimeNs(): number {
    const time = this.#time;
    for (;;) {
      const version = time.version;
      if (version & 1) continue;
      const delta = Math.max(0, this.#cpu.tsc() - time.tsc_timestamp_num);
      const shift = time.tsc_shift;
      const cycles = delta * 2 ** shift;
      const ns = time.system_time_num + Math.floor((cycles * time.tsc_to_system_mul) / 4294967296);
      if (time.version === version) return ns;
    }
  }

  /** Milliseconds since 1970, as Date.now() has them. */
  wallclockMs(): number {
    const o = SharedInfo.offsets;
    const seconds = this.#view.getUint32(o.wc_sec, true) + this.#view.getUint32(o.wc_sec_hi, true) * 4294967296;
    const nanoseconds = this.#view.getUint32(o.wc_nsec, true);
    return seconds * 1000 + (nanoseconds + this.systemTimeNs()) / 1e6;
  }
}
