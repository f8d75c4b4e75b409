// A guest's console: output to log and viewers, typed input, and what a guest that floods or lies gets.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ByteQueue } from "../../../dom0/consoled/byte_queue.ts";
import { GuestConsole, type Sink } from "../../../dom0/consoled/console.ts";
import { ConsoleLimits } from "../../../dom0/consoled/limits.ts";
import { ConsoleViewer } from "../../../dom0/consoled/viewer.ts";
import { type Task, Threads } from "../../../guests/sdk/threads.ts";
import { ByteRing, CONSOLE_IN, CONSOLE_OUT } from "../../../shared/ring.ts";

const bytes = (s: string): Uint8Array => new TextEncoder().encode(s);
const text = (b: Uint8Array | undefined): string => new TextDecoder().decode(b ?? new Uint8Array(0));

function make() {
  const page = new Uint8Array(new SharedArrayBuffer(4096));
  const log: Sink & { text: string; full: boolean } = {
    text: "",
    full: false,
    push(b) {
      this.text += text(b);
    },
    end() {},
  };
  let notified = 0;
  const console = new GuestConsole(5, page, () => notified++, log);
  return {
    page,
    log,
    console,
    notified: () => notified,
    print: (s: string): number => new ByteRing(page, 0, CONSOLE_OUT).write(bytes(s)),
    typed: (limit = 4096): string => {
      const target = new Uint8Array(limit);
      return text(target.slice(0, new ByteRing(page, 0, CONSOLE_IN).read(target)));
    },
    viewer: () => new ConsoleViewer(console, () => {}),
  };
}

function all(viewer: ConsoleViewer): string {
  let s = "";
  for (let piece = viewer.tryRead(); piece; piece = viewer.tryRead()) s += text(piece);
  return s;
}

/** Runs tasks until none is ready; `now` stands still unless it is moved. */
function threads() {
  let now = 0;
  const failures: unknown[] = [];
  const t = new Threads(
    () => now,
    (_, error) => failures.push(error),
  );
  return {
    spawn: (task: Task<unknown>) => t.spawn("test", task),
    run: (ns = 0) => {
      now += ns;
      t.wakeDue();
      while (t.runOne());
      expect(failures).toEqual([]);
    },
  };
}

describe("output", () => {
  it("goes to the log and to every viewer", () => {
    const g = make();
    const [a, b] = [g.viewer(), g.viewer()];
    g.print("hello\n");
    expect(g.console.service()).toBe(false);
    expect([all(a), all(b), g.log.text]).toEqual(["hello\n", "hello\n", "hello\n"]);
    expect(g.notified()).toBe(1);
    b.close();
    g.print("more");
    g.console.service();
    expect([all(a), all(b)]).toEqual(["more", ""]);
  });

  it("that nobody has seen is given to the next viewer, the last 64 KiB of it", () => {
    const g = make();
    for (let i = 0; i < 100; i++) {
      g.print(`${String(i).padStart(4, "0")}${"x".repeat(1020)}`);
      g.console.service();
    }
    const first = g.viewer();
    const seen = all(first);
    expect(seen.length).toBe(ConsoleLimits.unseenBytes);
    expect(seen.slice(-1024, -1020)).toBe("0099");
    first.close();
    expect(all(g.viewer())).toBe("");
    expect(g.log.text.length).toBe(102400);
  });

  it("waits in the ring while a viewer or the log is behind", () => {
    const g = make();
    const viewer = g.viewer();
    let printed = 0;
    for (let i = 0; i < 1000; i++) {
      printed += g.print("y".repeat(2048));
      while (g.console.service());
    }
    expect(printed).toBeLessThanOrEqual(ConsoleLimits.viewerBytes + 2 * 2048);
    expect(all(viewer).length).toBe(printed - 2048);
    g.console.service();
    expect(all(viewer).length).toBe(2048);
    g.log.full = true;
    g.print("z");
    g.console.service();
    expect(all(viewer)).toBe("");
    g.log.full = false;
    g.console.service();
    expect(all(viewer)).toBe("z");
  });

  it("of a domain that ends is taken to the last byte, and viewers see the end", () => {
    const g = make();
    const viewer = g.viewer();
    g.print("last words");
    g.console.end();
    expect(viewer.atEnd).toBe(false);
    expect(all(viewer)).toBe("last words");
    expect(viewer.atEnd).toBe(true);
    g.print("too late");
    expect(g.console.service()).toBe(false);
    expect(all(viewer)).toBe("");
  });

  it("with indexes that make no sense ends the console's service, not dom0", () => {
    const g = make();
    new DataView(g.page.buffer).setUint32(3084, 5000, true);
    expect(g.console.service()).toBe(false);
    expect(g.console.isBad).toBe(true);
    g.console.end();
    expect(g.log.text).toBe("");
  });
});

describe("input", () => {
  it("reaches the guest in order, waiting while its ring is full", () => {
    const g = make();
    const t = threads();
    const viewer = g.viewer();
    const sent = Array.from({ length: 40000 }, (_, i) => String.fromCharCode(97 + (i % 26))).join("");
    const thread = t.spawn(viewer.type(bytes(sent)));
    let got = "";
    for (let i = 0; i < 200 && got.length < sent.length; i++) {
      t.run();
      got += g.typed();
      g.console.service();
    }
    t.run();
    expect(got).toBe(sent);
    expect(thread.done).toBe(true);
  });

  it("is given up at its timeout when the guest takes nothing, and at the domain's end", () => {
    const g = make();
    const t = threads();
    const viewer = g.viewer();
    const results: boolean[] = [];
    t.spawn(
      (function* () {
        results.push(yield* viewer.type(new Uint8Array(50000), 1e9));
        results.push(yield* viewer.type(new Uint8Array(50000)));
      })(),
    );
    t.run();
    t.run(2e9);
    expect(results).toEqual([false]);
    g.console.end();
    t.run();
    expect(results).toEqual([false, true]);
  });
});

it("a byte queue keeps order and its bound", () => {
  const op = fc.oneof(
    fc.record({ push: fc.uint8Array({ maxLength: 20 }) }),
    fc.record({ last: fc.uint8Array({ maxLength: 20 }) }),
    fc.record({ take: fc.nat(12) }),
  );
  fc.assert(
    fc.property(fc.array(op), (ops) => {
      const queue = new ByteQueue(16);
      let model: number[] = [];
      for (const o of ops) {
        if ("push" in o) {
          const n = queue.push(o.push);
          expect(n).toBe(Math.min(o.push.length, 16 - model.length));
          model.push(...o.push.slice(0, n));
        } else if ("last" in o) {
          queue.pushLast(o.last);
          model = [...model, ...o.last].slice(-16);
        } else {
          expect([...queue.take(o.take)]).toEqual(model.splice(0, o.take));
        }
        expect([...queue.peek()]).toEqual(model);
      }
    }),
  );
});
