// Cooperative threads of a TypeScript kernel: generators that suspend with `yield*` on wait queues, time or both. The
// kernel's main loop (kernel.ts) runs those that are ready; nothing here knows of hypercalls, so a test drives it alone.
// A thread that throws ends with a line in the kernel's log; the kernel and the other threads go on.
//
// Between two `yield*` a thread is alone: "check a condition, then wait" can't lose a wake-up.

/** What a thread waits for: any of the queues, or the time. 0 ns lets the other ready threads run first. */
export interface Suspend {
  readonly queues: readonly WaitQueue[];
  /** Infinity: no timeout. */
  readonly timeoutNs: number;
}

/** A thread's code, and every function that may suspend its thread: call it with `yield*`. */
export type Task<T = void> = Generator<Suspend, T, WaitQueue | undefined>;

const NONE: readonly WaitQueue[] = [];

const NOW: Suspend = { queues: NONE, timeoutNs: 0 };

/** Lets the other ready threads run. */
export function* yieldNow(): Task {
  yield NOW;
}

/** Suspends the thread for at least `ns` nanoseconds of system time. */
export function* sleep(ns: number): Task {
  yield { queues: NONE, timeoutNs: ns };
}

/** Suspends until one of `queues` wakes this thread; returns it, or undefined when `timeoutNs` passed first. */
export function* waitAny(queues: readonly WaitQueue[], timeoutNs = Infinity): Task<WaitQueue | undefined> {
  return yield { queues, timeoutNs };
}

/** Threads that wait for something to happen. Whoever makes it happen wakes them. */
export class WaitQueue {
  readonly #waiting = new Set<Thread>();
  readonly #forever: Suspend = { queues: [this], timeoutNs: Infinity };

  /** Waits to be woken; false when `timeoutNs` passed first. Check the condition again after waking. */
  *wait(timeoutNs = Infinity): Task<boolean> {
    return (yield this.#suspend(timeoutNs)) !== undefined;
  }

  /** Waits until `condition()` is true, looking again at each wake; false when `timeoutNs` passed first. */
  *until(condition: () => boolean, timeoutNs = Infinity): Task<boolean> {
    // The timeout is for the whole: what is left of it is told by the deadline that the scheduler keeps.
    const deadline = timeoutNs === Infinity ? undefined : new Deadline(timeoutNs);
    while (!condition()) {
      const left = deadline === undefined ? Infinity : deadline.leftNs();
      if (left <= 0) return false;
      if ((yield this.#suspend(left)) === undefined) return condition();
    }
    return true;
  }

  #suspend(timeoutNs: number): Suspend {
    return timeoutNs === Infinity ? this.#forever : { queues: this.#forever.queues, timeoutNs };
  }

  wakeAll(): void {
    if (this.#waiting.size > 1) for (const thread of [...this.#waiting]) thread.wake(this);
    else this.wakeOne();
  }

  wakeOne(): void {
    for (const thread of this.#waiting) {
      thread.wake(this);
      return;
    }
  }

  /** True when some thread waits. */
  get isAwaited(): boolean {
    return this.#waiting.size > 0;
  }

  /** @internal For the scheduler. */
  add(thread: Thread): void {
    this.#waiting.add(thread);
  }

  /** @internal For the scheduler. */
  remove(thread: Thread): void {
    this.#waiting.delete(thread);
  }
}

/** A timeout that spans several waits. Made by a thread, of the scheduler that runs it. */
export class Deadline {
  readonly #threads: Threads | undefined = Threads.running;
  readonly #at: number;

  constructor(timeoutNs: number) {
    this.#at = (this.#threads?.now() ?? 0) + timeoutNs;
  }

  /** What is left, 0 when it has passed. */
  leftNs(): number {
    return Math.max(0, this.#at - (this.#threads?.now() ?? 0));
  }
}

/** A queue of values between threads. The sender never waits; a receiver waits for the next value or the end. */
export class Channel<T> {
  readonly #values: T[] = [];
  #closed = false;
  /** Woken by each value and by the end: for waitAny with other queues, then `tryReceive`. */
  readonly ready = new WaitQueue();

  send(value: T): void {
    if (this.#closed) return;
    this.#values.push(value);
    this.ready.wakeOne();
  }

  /** No more values; what was sent before is still received. */
  close(): void {
    this.#closed = true;
    this.ready.wakeAll();
  }

  tryReceive(): T | undefined {
    return this.#values.shift();
  }

  /** The next value; undefined at the end, or when `timeoutNs` passed first. */
  *receive(timeoutNs = Infinity): Task<T | undefined> {
    yield* this.ready.until(() => this.#values.length > 0 || this.#closed, timeoutNs);
    return this.#values.shift();
  }

  get length(): number {
    return this.#values.length;
  }

  /** True when it was closed and everything sent was received. */
  get ended(): boolean {
    return this.#closed && this.#values.length === 0;
  }
}

/** One thing at a time: `yield* mutex.run(() => task())`. */
export class Mutex {
  #held = false;
  readonly #free = new WaitQueue();

  *run<T>(body: () => Task<T>): Task<T> {
    yield* this.#free.until(() => !this.#held);
    this.#held = true;
    try {
      return yield* body();
    } finally {
      this.#held = false;
      this.#free.wakeOne();
    }
  }
}

/** Thrown in a thread that is cancelled. No Error, so that nobody takes it for one of theirs. */
const CANCELLED = Symbol("cancelled");

/** A thread, as its creator sees it. */
export class Thread {
  readonly name: string;
  /** True when its code has returned, thrown, or been cancelled. */
  done = false;
  /** What it threw, if it threw. */
  error: unknown = undefined;
  readonly #ended = new WaitQueue();
  readonly #code: Task<unknown>;
  readonly #threads: Threads;
  #queues: readonly WaitQueue[] = NONE;
  #wokenBy: WaitQueue | undefined = undefined;
  #cancelled = false;
  /** Counts waits, so that a timer of an earlier wait is known as stale. @internal */
  waits = 0;
  /** True while it waits; false when it runs or is in the ready queue. @internal */
  suspended = false;

  constructor(threads: Threads, name: string, code: Task<unknown>) {
    this.#threads = threads;
    this.name = name;
    this.#code = code;
  }

  /** Waits for its end; false when `timeoutNs` passed first. */
  *join(timeoutNs = Infinity): Task<boolean> {
    return yield* this.#ended.until(() => this.done, timeoutNs);
  }

  /**
   * Ends it at the place where it waits: its `finally` blocks run. Not for the thread that is running. Code that catches must let
   * through what is no Error.
   */
  cancel(): void {
    if (this.done) return;
    this.#cancelled = true;
    this.wake(undefined);
  }

  /** @internal For wait queues and timers. */
  wake(by: WaitQueue | undefined): void {
    if (!this.suspended) return;
    this.suspended = false;
    for (const queue of this.#queues) queue.remove(this);
    this.#queues = NONE;
    this.#wokenBy = by;
    this.#threads.ready(this);
  }

  /** Runs it to its next wait or its end. @internal For the scheduler. */
  resume(): void {
    try {
      const by = this.#wokenBy;
      this.#wokenBy = undefined;
      const cancelled = this.#cancelled;
      this.#cancelled = false;
      if (cancelled) by?.wakeOne(); // What it was woken for is the next one's.
      // Not by `return`: a generator goes on behind a `yield*` whose own `finally` blocks wait.
      const next = cancelled ? this.#code.throw(CANCELLED) : this.#code.next(by);
      if (next.done) this.#end();
      else this.#suspend(next.value);
    } catch (error) {
      if (error === CANCELLED) {
        this.#end();
        return;
      }
      this.error = error;
      this.#end();
      this.#threads.failed(this, error);
    }
  }

  #suspend(on: Suspend): void {
    this.suspended = true;
    this.waits++;
    if (on.timeoutNs <= 0) {
      this.wake(undefined);
      return;
    }
    this.#queues = on.queues;
    for (const queue of on.queues) queue.add(this);
    if (on.timeoutNs !== Infinity) this.#threads.after(on.timeoutNs, this);
    if (this.#cancelled) this.wake(undefined); // Cancelled itself, or while it ran its finally blocks.
  }

  #end(): void {
    this.done = true;
    this.#threads.ended(this);
    this.#ended.wakeAll();
  }
}

interface Timer {
  readonly atNs: number;
  readonly order: number;
  readonly thread: Thread;
  readonly wait: number;
}

/** The scheduler of one kernel's threads: first ready, first run; timers in a heap. */
export class Threads {
  /** The scheduler that runs a thread now; for Deadline, which is made inside threads. */
  static running: Threads | undefined = undefined;
  readonly now: () => number;
  readonly #report: (thread: Thread, error: unknown) => void;
  #ready: Thread[] = [];
  #head = 0;
  readonly #timers: Timer[] = [];
  #order = 0;
  /** Threads that have not ended. */
  readonly all = new Set<Thread>();

  /** `now` is system time in nanoseconds; `report` is told of a thread that threw. */
  constructor(now: () => number, report: (thread: Thread, error: unknown) => void) {
    this.now = now;
    this.#report = report;
  }

  spawn(name: string, code: Task<unknown>): Thread {
    const thread = new Thread(this, name, code);
    this.all.add(thread);
    this.#ready.push(thread);
    return thread;
  }

  /** Runs one ready thread to its next wait; false when none is ready. */
  runOne(): boolean {
    if (this.#head === this.#ready.length) return false;
    const thread = this.#ready[this.#head++];
    if (this.#head === this.#ready.length) {
      this.#ready.length = 0;
      this.#head = 0;
    } else if (this.#head > 1024) {
      this.#ready = this.#ready.slice(this.#head);
      this.#head = 0;
    }
    const outer = Threads.running;
    Threads.running = this;
    try {
      thread.resume();
    } finally {
      Threads.running = outer;
    }
    return true;
  }

  /** Wakes the threads whose time has come and returns when the next one's does: Infinity when none waits for time. */
  wakeDue(): number {
    for (let first = this.#timers[0]; first !== undefined; first = this.#timers[0]) {
      if (first.thread.waits !== first.wait || !first.thread.suspended) {
        this.#pop();
        continue;
      }
      if (first.atNs > this.now()) return first.atNs;
      this.#pop();
      first.thread.wake(undefined);
    }
    return Infinity;
  }

  /** Entries in the timer heap, stale ones among them. */
  get timerCount(): number {
    return this.#timers.length;
  }

  /** @internal */
  ready(thread: Thread): void {
    this.#ready.push(thread);
  }

  /** @internal */
  after(timeoutNs: number, thread: Thread): void {
    // Waits that ended before their time leave stale timers: dropped here when they are most of the heap. A sorted array
    // is a heap.
    if (this.#timers.length > 64 + 4 * this.all.size) {
      const live = this.#timers.filter((t) => t.thread.suspended && t.thread.waits === t.wait);
      this.#timers.splice(0, Infinity, ...live.sort((a, b) => (before(a, b) ? -1 : 1)));
    }
    const timer = { atNs: this.now() + timeoutNs, order: this.#order++, thread, wait: thread.waits };
    let i = this.#timers.push(timer) - 1;
    for (let up = (i - 1) >> 1; i > 0 && before(timer, this.#timers[up]); up = (i - 1) >> 1) {
      this.#timers[i] = this.#timers[up];
      i = up;
    }
    this.#timers[i] = timer;
  }

  /** @internal */
  ended(thread: Thread): void {
    this.all.delete(thread);
  }

  /** @internal */
  failed(thread: Thread, error: unknown): void {
    this.#report(thread, error);
  }

  #pop(): void {
    const last = this.#timers.pop();
    const length = this.#timers.length;
    if (last === undefined || length === 0) return;
    let i = 0;
    for (let child = 1; child < length; child = 2 * i + 1) {
      if (child + 1 < length && before(this.#timers[child + 1], this.#timers[child])) child++;
      if (!before(this.#timers[child], last)) break;
      this.#timers[i] = this.#timers[child];
      i = child;
    }
    this.#timers[i] = last;
  }
}

function before(a: Timer, b: Timer): boolean {
  return a.atNs < b.atNs || (a.atNs === b.atNs && a.order < b.order);
}
