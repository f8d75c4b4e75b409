// The SDK's cooperative threads, driven without a kernel: a clock that the test moves, a loop that the test turns.
import { describe, expect, test } from "vitest";
import {
  Channel,
  Mutex,
  sleep,
  type Task,
  Threads,
  WaitQueue,
  waitAny,
  yieldNow,
} from "../../../guests/sdk/threads.ts";

class Bench {
  nowNs = 0;
  readonly failures: string[] = [];
  readonly threads = new Threads(
    () => this.nowNs,
    (thread, error) => this.failures.push(`${thread.name}: ${(error as Error).message}`),
  );

  /** Runs what is ready now. */
  settle(): void {
    this.threads.wakeDue();
    for (let turns = 0; this.threads.runOne(); turns++) {
      if (turns > 100_000) throw new Error("the threads never come to rest");
      this.threads.wakeDue();
    }
  }

  /** Moves the clock to each deadline in turn, up to `ns`. */
  passTo(ns: number): void {
    this.settle();
    for (let next = this.threads.wakeDue(); next <= ns; next = this.threads.wakeDue()) {
      this.nowNs = next;
      this.settle();
    }
    this.nowNs = ns;
  }
}

describe("threads", () => {
  test("sleepers wake in the order of their deadlines, equal ones in the order in which they slept", () => {
    const bench = new Bench();
    const log: string[] = [];
    const sleeper = function* (name: string, ns: number): Task {
      yield* sleep(ns);
      log.push(`${name}@${bench.nowNs}`);
    };
    for (const [name, ns] of [
      ["c", 30],
      ["a", 10],
      ["b1", 20],
      ["b2", 20],
      ["d", 40],
    ] as const)
      bench.threads.spawn(name, sleeper(name, ns));
    bench.passTo(35);
    expect(log).toEqual(["a@10", "b1@20", "b2@20", "c@30"]);
  });

  test("a thread that throws is reported and ends; the others and those that join it go on", () => {
    const bench = new Bench();
    const log: string[] = [];
    const bad = bench.threads.spawn(
      "bad",
      (function* (): Task {
        yield* yieldNow();
        throw new Error("broken");
      })(),
    );
    bench.threads.spawn(
      "joiner",
      (function* (): Task {
        log.push(`joined ${yield* bad.join()}`);
      })(),
    );
    bench.settle();
    expect(bench.failures).toEqual(["bad: broken"]);
    expect(log).toEqual(["joined true"]);
    expect(bench.threads.all.size).toBe(0);
  });

  test("a wait ends by its timeout, and the queue then no longer holds the thread", () => {
    const bench = new Bench();
    const queue = new WaitQueue();
    const log: unknown[] = [];
    bench.threads.spawn(
      "t",
      (function* (): Task {
        log.push(yield* queue.wait(100));
        log.push(yield* queue.until(() => false, 50), bench.nowNs);
      })(),
    );
    bench.passTo(1000);
    expect(log).toEqual([false, false, 150]);
    expect(queue.isAwaited).toBe(false);
  });

  test("until's timeout is for the whole wait, not for each wake", () => {
    const bench = new Bench();
    const queue = new WaitQueue();
    let result: boolean | undefined;
    bench.threads.spawn(
      "t",
      (function* (): Task {
        result = yield* queue.until(() => false, 100);
      })(),
    );
    for (let ns = 0; ns <= 90; ns += 30) {
      bench.passTo(ns);
      queue.wakeAll();
    }
    bench.passTo(99);
    expect(result).toBeUndefined();
    bench.passTo(100);
    expect(result).toBe(false);
  });

  test("waitAny says which queue woke it and leaves the others", () => {
    const bench = new Bench();
    const [a, b] = [new WaitQueue(), new WaitQueue()];
    const woken: unknown[] = [];
    bench.threads.spawn(
      "t",
      (function* (): Task {
        woken.push(yield* waitAny([a, b]));
        woken.push(yield* waitAny([a, b], 5));
      })(),
    );
    bench.settle();
    b.wakeOne();
    bench.passTo(10);
    expect(woken).toEqual([b, undefined]);
    expect([a.isAwaited, b.isAwaited]).toEqual([false, false]);
  });

  test("cancel runs the finally blocks where the thread waits, even ones that wait themselves", () => {
    const bench = new Bench();
    const log: string[] = [];
    const queue = new WaitQueue();
    const thread = bench.threads.spawn(
      "t",
      (function* (): Task {
        try {
          yield* queue.wait();
          log.push("not reached");
        } finally {
          yield* sleep(10);
          log.push(`cleaned at ${bench.nowNs}`);
        }
      })(),
    );
    bench.settle();
    thread.cancel();
    bench.passTo(100);
    expect(log).toEqual(["cleaned at 10"]);
    expect(thread.done).toBe(true);
    expect(queue.isAwaited).toBe(false);
  });

  test("cancel ends the callers too, when the finally blocks of what they call wait", () => {
    const bench = new Bench();
    const log: string[] = [];
    const inner = function* (): Task {
      try {
        yield* sleep(1000);
      } finally {
        yield* sleep(10);
        log.push("inner cleaned");
      }
    };
    const outer = function* (): Task {
      try {
        yield* inner();
        log.push("not reached");
        yield* sleep(1);
        log.push("not reached either");
      } catch (error) {
        if (error instanceof Error) log.push("not an error");
        throw error;
      } finally {
        log.push("outer cleaned");
      }
    };
    const thread = bench.threads.spawn("t", outer());
    bench.settle();
    thread.cancel();
    bench.passTo(5000);
    expect(log).toEqual(["inner cleaned", "outer cleaned"]);
    expect([thread.done, thread.error, bench.failures]).toEqual([true, undefined, []]);
  });

  test("a channel gives each value once, in order, then the end", () => {
    const bench = new Bench();
    const channel = new Channel<number>();
    const got: unknown[] = [];
    for (const name of ["r1", "r2"])
      bench.threads.spawn(
        name,
        (function* (): Task {
          for (let v = yield* channel.receive(); v !== undefined; v = yield* channel.receive()) got.push(v);
          got.push(`${name} ended`);
        })(),
      );
    bench.settle();
    for (let i = 0; i < 10; i++) {
      channel.send(i);
      if (i % 3 === 0) bench.settle();
    }
    channel.close();
    channel.send(99);
    bench.settle();
    expect(got.slice(0, 10)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(got.slice(10).sort()).toEqual(["r1 ended", "r2 ended"]);
  });

  test("a mutex lets one in at a time, and is free again after a throw or a cancel", () => {
    const bench = new Bench();
    const mutex = new Mutex();
    const log: string[] = [];
    const worker = (name: string, fail: boolean): Task =>
      (function* (): Task {
        yield* mutex.run(function* (): Task {
          log.push(`+${name}`);
          yield* sleep(10);
          log.push(`-${name}`);
          if (fail) throw new Error(name);
        });
      })();
    bench.threads.spawn("a", worker("a", true));
    const b = bench.threads.spawn("b", worker("b", false));
    bench.threads.spawn("c", worker("c", false));
    bench.passTo(12);
    b.cancel();
    bench.passTo(100);
    expect(log).toEqual(["+a", "-a", "+b", "+c", "-c"]);
    expect(bench.failures).toEqual(["a: a"]);
  });

  test("a thread that is cancelled when it was just woken doesn't take the wake with it", () => {
    const bench = new Bench();
    const mutex = new Mutex();
    const go = new WaitQueue();
    const log: string[] = [];
    const holder = function* (name: string, wait: boolean): Task {
      yield* mutex.run(function* (): Task {
        if (wait) yield* go.wait();
        log.push(name);
      });
    };
    bench.threads.spawn("first", holder("first", true));
    const second = bench.threads.spawn("second", holder("second", false));
    bench.threads.spawn("third", holder("third", false));
    bench.settle();
    go.wakeAll();
    bench.threads.runOne(); // The first lets go, which wakes the second.
    second.cancel();
    bench.settle();
    expect(log).toEqual(["first", "third"]);
  });

  test("timers of waits that ended early do not pile up", () => {
    const bench = new Bench();
    const queue = new WaitQueue();
    let wakes = 0;
    bench.threads.spawn(
      "t",
      (function* (): Task {
        for (; wakes < 5000; wakes++) yield* queue.wait(1e12);
        yield* sleep(7);
        wakes++;
      })(),
    );
    bench.settle();
    for (let i = 0; i < 5000; i++) {
      queue.wakeAll();
      bench.settle();
    }
    expect(bench.threads.timerCount).toBeLessThan(200);
    bench.passTo(7);
    expect(wakes).toBe(5001);
  });
});
