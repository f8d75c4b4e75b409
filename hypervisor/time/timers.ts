// Timers: a binary heap by deadline, equal deadlines in the order in which they were set, so that the virtual clock's runs
// repeat. Each timer is an object of whoever uses it, made once and set again and again. Run by the main loop.

import { ZERO } from "../doubles.ts";

/**
 * Deadlines from here on (two years) never come: a guest alone with such a timer would else take the virtual clock, which
 * skips idle time, to where it no longer counts the nanoseconds of a hypercall.
 */
const NEVER = 2 ** 56;

export class Timer {
  /** System time in ns at which it fires. Meaningful while it is set. */
  deadline = ZERO;
  /** Order among equal deadlines. */
  sequence = 0;
  /** Its place in the heap, -1 when it isn't set. */
  index = -1;
  readonly fire: () => void;

  constructor(fire: () => void) {
    this.fire = fire;
  }

  get active(): boolean {
    return this.index >= 0;
  }
}

export class Timers {
  readonly #heap: Timer[] = [];
  #sequence = 0;

  /** Deadline of the next timer, Infinity when none is set. */
  get next(): number {
    return this.#heap.length > 0 ? this.#heap[0].deadline : Number.POSITIVE_INFINITY;
  }

  get size(): number {
    return this.#heap.length;
  }

  /** Sets the timer, again if it is set already. A deadline in the past fires at the next look. */
  set(timer: Timer, deadline: number): void {
    this.stop(timer);
    timer.deadline = deadline < NEVER ? deadline : Number.POSITIVE_INFINITY;
    timer.sequence = this.#sequence++;
    timer.index = this.#heap.length;
    this.#heap.push(timer);
    this.#up(timer.index);
  }

  stop(timer: Timer): void {
    const at = timer.index;
    if (at < 0) return;
    timer.index = -1;
    const last = this.#heap.pop()!;
    if (last === timer) return;
    this.#heap[at] = last;
    last.index = at;
    this.#up(at);
    this.#down(last.index);
  }

  /** Fires all timers due at `now`, those that the fired ones set for a time up to `now` included once each. */
  run(now: number): void {
    const until = this.#sequence;
    while (this.#heap.length > 0) {
      const timer = this.#heap[0];
      // One that a handler set anew for a past time waits for the next look, so that no handler can hang the machine.
      if (timer.deadline > now || timer.sequence >= until) return;
      this.stop(timer);
      timer.fire();
    }
  }

  #before(a: Timer, b: Timer): boolean {
    return a.deadline < b.deadline || (a.deadline === b.deadline && a.sequence < b.sequence);
  }

  #swap(i: number, j: number): void {
    const heap = this.#heap;
    const a = heap[i];
    heap[i] = heap[j];
    heap[j] = a;
    heap[i].index = i;
    heap[j].index = j;
  }

  #up(at: number): void {
    let i = at;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!this.#before(this.#heap[i], this.#heap[parent])) return;
      this.#swap(i, parent);
      i = parent;
    }
  }

  #down(at: number): void {
    let i = at;
    for (;;) {
      const left = i * 2 + 1;
      if (left >= this.#heap.length) return;
      const right = left + 1;
      const least = right < this.#heap.length && this.#before(this.#heap[right], this.#heap[left]) ? right : left;
      if (!this.#before(this.#heap[least], this.#heap[i])) return;
      this.#swap(i, least);
      i = least;
    }
  }
}
