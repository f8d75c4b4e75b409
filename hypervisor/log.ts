// The hypervisor's log: the ring that sysctl readconsole (`xl dmesg`) reads. Guests cause most lines, so both the ring's
// size and the rate of guest-caused lines are bounded.

import { GUEST_LOG_BURST, GUEST_LOG_INTERVAL_NS, LOG_LINE_CHARS, LOG_RING_BYTES } from "./limits.ts";

export class HypervisorLog {
  /** The ring's text; positions count characters since boot. */
  #text = "";
  #dropped = 0;
  #tokens = GUEST_LOG_BURST;
  #tokensAt = 0;
  #suppressed = 0;
  readonly #now: () => number;
  /** Called with what is appended, prefix and newline included; for a host that shows the log as it grows. */
  onText: ((text: string) => void) | undefined = undefined;

  /** Called with each appended text, for dom0's VIRQ_CON_RING. */
  onAppend: (() => void) | undefined = undefined;

  /** `now` gives nanoseconds since boot. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Appends dom0's console output as it is. */
  raw(text: string): void {
    this.#append(text);
  }

  /**
   * Appends one line, prefixed with "(XEN) ". What isn't printable Latin-1 is shown as `?`: control characters of all kinds, and
   * what would become one where a character is a byte. Long lines are cut.
   */
  line(text: string): void {
    const clean = text.slice(0, LOG_LINE_CHARS).replace(/[^\t\x20-\x7e\xa0-\xff]/g, "?");
    this.#append(`(XEN) ${clean}\n`);
  }

  /** A line that a guest caused: at most a burst, then so many in a time; what is left out is counted. */
  guestLine(text: string): void {
    const now = this.#now();
    const earned = Math.floor((now - this.#tokensAt) / GUEST_LOG_INTERVAL_NS);
    if (earned > 0) {
      this.#tokens = Math.min(GUEST_LOG_BURST, this.#tokens + earned);
      this.#tokensAt = now;
    }
    if (this.#tokens === 0) {
      this.#suppressed++;
      return;
    }
    if (this.#suppressed > 0) {
      const count = this.#suppressed;
      this.#suppressed = 0;
      this.line(`printk: ${count} messages suppressed.`);
    }
    this.#tokens--;
    this.line(text);
  }

  #append(text: string): void {
    this.#text += text;
    if (this.#text.length > LOG_RING_BYTES * 2) this.#trim();
    this.onText?.(text);
    this.onAppend?.();
  }

  #trim(): void {
    const cut = this.#text.length - LOG_RING_BYTES;
    this.#text = this.#text.slice(cut);
    this.#dropped += cut;
  }

  /** Position before the oldest kept character. */
  get start(): number {
    return this.#dropped;
  }

  /** Position after the newest character. */
  get end(): number {
    return this.#dropped + this.#text.length;
  }

  /** Text from position `from` (clamped to what is kept), at most `length` characters. */
  read(from: number, length: number): string {
    const begin = Math.max(from - this.#dropped, 0);
    return this.#text.slice(begin, begin + length);
  }

  /** Forgets what is in the ring, as readconsole with `clear` does. */
  clear(): void {
    this.#dropped += this.#text.length;
    this.#text = "";
  }
}
