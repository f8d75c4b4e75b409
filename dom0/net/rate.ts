// `rate=` of a vif: so many bytes in each interval, as netback's credit scheduler has it. What is over is held back until
// the next interval; credit that isn't used doesn't add up. A frame that is larger than an interval's credit goes when the
// credit is whole. Used by backends/net/.

/** libxl's form in xenstore: "bytes,microseconds". */
export interface Rate {
  readonly bytesPerInterval: number;
  readonly intervalUs: number;
}

export class Credit {
  readonly #rate: Rate | undefined;
  #left: number;
  #untilNs = 0;

  constructor(rate: Rate | undefined) {
    this.#rate = rate;
    this.#left = rate?.bytesPerInterval ?? 0;
  }

  /** Takes `bytes` of credit: 0, or the nanoseconds to wait before asking again. */
  take(bytes: number, nowNs: number): number {
    const rate = this.#rate;
    if (rate === undefined) return 0;
    if (nowNs >= this.#untilNs) {
      this.#left = rate.bytesPerInterval;
      this.#untilNs = nowNs + rate.intervalUs * 1000;
    }
    if (bytes > this.#left && this.#left < rate.bytesPerInterval) return this.#untilNs - nowNs;
    this.#left = Math.max(0, this.#left - bytes);
    return 0;
  }
}
