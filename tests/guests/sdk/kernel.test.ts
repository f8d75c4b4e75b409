// A kernel on the SDK as dom0 of a real machine: timers, events, the host's devices, memory, grants. Everything goes through
// the hypervisor's own hypercalls.
import { describe, expect, test } from "vitest";
import {
  type HostError,
  type Kernel,
  kernelMain,
  sleep,
  type Task,
  type Thread,
  XenError,
} from "../../../guests/sdk/index.ts";
import { VIRQ_DOM_EXC } from "../../../shared/abi/xen.ts";
import type { DomId, Mfn } from "../../../shared/brand.ts";
import { Dom0Machine } from "../../harness/dom0.ts";

const SELF = 0x7ff0 as DomId;

/** toEqual takes seconds for so many bytes. */
function same(a: Uint8Array | undefined, b: Uint8Array): boolean {
  return a !== undefined && Buffer.compare(a, b) === 0;
}

/** Runs `body` as dom0's first thread, to its end; what it threw is thrown here. */
function inDom0(body: (kernel: Kernel) => Task, files: Record<string, string | Uint8Array> = {}): Dom0Machine {
  let failed: { error: unknown } | undefined;
  const machine = new Dom0Machine({
    files,
    main: kernelMain(function* (kernel): Task {
      try {
        yield* body(kernel);
      } catch (error) {
        failed = { error };
      }
      yield* kernel.host.exit(7);
    }),
  });
  const status = machine.runToExit();
  if (failed) throw failed.error;
  expect(status).toBe(7);
  expect(machine.machine.checker()).toEqual([]);
  return machine;
}

describe("a kernel on the SDK", () => {
  test("sleeps by the hypervisor's timer, to the nanosecond on the virtual clock", () => {
    const woke: number[] = [];
    inDom0(function* (kernel): Task {
      const start = kernel.systemTimeNs();
      for (const ns of [1_000_000, 5_000_000, 1_000_000_000]) {
        const before = kernel.systemTimeNs();
        yield* sleep(ns);
        woke.push(kernel.systemTimeNs() - before - ns);
      }
      expect(kernel.clock.wallclockMs()).toBeCloseTo(1_700_000_000_000 + kernel.systemTimeNs() / 1e6, 0);
      expect(kernel.systemTimeNs() - start).toBeGreaterThan(1_006_000_000);
    });
    for (const late of woke) {
      expect(late).toBeGreaterThanOrEqual(0);
      expect(late).toBeLessThan(100_000);
    }
  });

  test("reads files through the device queue, whole and straight into frames; errors have their names", () => {
    const big = new Uint8Array(600_000).map((_, i) => (i * 7) & 0xff);
    const machine = inDom0(
      function* (kernel): Task {
        expect(same(yield* kernel.host.readFile("dir/big"), big)).toBe(true);
        expect(yield* kernel.host.readFile("empty")).toEqual(new Uint8Array(0));
        expect(yield* kernel.host.stat("dir/big")).toMatchObject({ kind: "file", size: 600_000 });
        expect(yield* kernel.host.list("dir")).toEqual(["big"]);
        const file = yield* kernel.host.open("dir/big");
        const pages = kernel.allocPages(2);
        const n = yield* file.readInto(599_000, [
          { address: pages.mfn * 4096 + 100, sizeBytes: 400 },
          { address: pages.mfn * 4096 + 4096, sizeBytes: 4000 },
        ]);
        expect(n).toBe(1000);
        expect(pages.bytes.slice(100, 500)).toEqual(big.slice(599_000, 599_400));
        expect(pages.bytes.slice(4096, 4696)).toEqual(big.slice(599_400));
        pages.free();
        yield* file.close();
        let code = "";
        try {
          yield* kernel.host.readFile("none");
        } catch (error) {
          code = (error as HostError).code;
        }
        expect(code).toBe("ENOENT");
        const out = yield* kernel.host.open("new", "w");
        yield* out.write(0, big);
        yield* out.close();
        yield* kernel.host.appendLog("guest", "line\n");
      },
      { "dir/big": big, empty: "" },
    );
    expect(same(machine.host.disk.get("new"), big)).toBe(true);
    expect(machine.host.logs.get("guest")).toBe("line\n");
    expect(machine.host.openFiles).toBe(0);
  });

  test("no page stays taken by requests that are done, or that were given up", () => {
    inDom0(
      function* (kernel): Task {
        yield* kernel.host.readFile("f");
        const free = kernel.pages.freePages;
        for (let i = 0; i < 20; i++) yield* kernel.host.readFile("f");
        const reader = kernel.spawn(
          "reader",
          (function* (): Task {
            yield* kernel.host.tty.read();
          })(),
        );
        yield* sleep(1000);
        expect(kernel.pages.freePages).toBe(free - 1);
        reader.cancel();
        yield* reader.join();
        // The host still has the buffer: it is not used for anything else until the host is done.
        expect(kernel.pages.freePages).toBe(free - 1);
        let asker: Thread | undefined;
        // Answered, and cancelled before it ran again: by a thread whose answer came at the same time.
        const canceller = kernel.spawn(
          "canceller",
          (function* (): Task {
            yield* kernel.host.stat("f");
            asker?.cancel();
          })(),
        );
        asker = kernel.spawn("asker", kernel.host.stat("f"));
        yield* asker.join();
        yield* canceller.join();
        yield* sleep(1e6);
        expect(kernel.pages.freePages).toBe(free - 1);
      },
      { f: "x".repeat(300_000) },
    );
  });

  test("the terminal: input in order, then the end; output in order", () => {
    const got: string[] = [];
    const machine = new Dom0Machine({
      main: kernelMain(function* (kernel): Task {
        yield* kernel.host.tty.write("> ");
        for (let b = yield* kernel.host.tty.read(); b; b = yield* kernel.host.tty.read())
          got.push(new TextDecoder().decode(b));
        yield* kernel.host.tty.write("bye");
        yield* kernel.host.exit(3);
      }),
    });
    machine.runToOutput("> ");
    machine.host.type("one\n");
    machine.runUntil(() => got.length === 1);
    machine.host.type("two\n");
    machine.host.endInput();
    expect(machine.runToExit()).toBe(3);
    expect(got).toEqual(["one\n", "two\n"]);
    expect(machine.host.output).toBe("> bye");
  });

  test("an event of its own wakes the waiting thread once, however often it was sent", () => {
    inDom0(function* (kernel): Task {
      const a = kernel.events.allocUnbound(SELF);
      const b = kernel.events.bindInterdomain(SELF, a.port);
      let wakes = 0;
      const waiter = kernel.spawn(
        "waiter",
        (function* (): Task {
          while (yield* a.wait()) wakes++;
        })(),
      );
      yield* sleep(1000);
      b.notify();
      b.notify();
      yield* sleep(1000);
      expect(wakes).toBe(1);
      b.notify();
      yield* sleep(1000);
      expect(wakes).toBe(2);
      a.close();
      yield* waiter.join();
      expect(() => b.notify()).not.toThrow(); // Its other end is unbound again, not gone: the event is lost.
      const exception = kernel.events.bindVirq(VIRQ_DOM_EXC);
      expect(() => kernel.events.bindVirq(VIRQ_DOM_EXC)).toThrow(XenError);
      exception.close();
    });
  });

  test("maps own frames again, many at once, and refuses what isn't its own", () => {
    inDom0(function* (kernel): Task {
      yield* sleep(0);
      const pages = kernel.allocPages(1500);
      const mfns = Array.from({ length: 1500 }, (_, i) => (pages.mfn + i) as Mfn);
      const mapping = kernel.mapForeign(SELF, mfns, true);
      mapping.page(1499)[5] = 42;
      expect(pages.bytes[1499 * 4096 + 5]).toBe(42);
      expect(mapping.bytes().length).toBe(1500 * 4096);
      mapping.unmap();
      expect(() => mapping.page(0)).toThrow();
      expect(() => kernel.cpu.view(mapping.va, 1, false)).toThrow(/page fault/);
      const free = kernel.mapForeign(SELF, [pages.mfn], false);
      expect(() => kernel.cpu.view(free.va, 1, true)).toThrow(/page fault/);
      free.unmap();
      // Frame 1 is the hypervisor's. The first of the two is mapped, and then taken back.
      expect(() => kernel.mapForeign(SELF, [pages.mfn, 1 as Mfn], true)).toThrow(XenError);
      // A page table of its own, to be written: never.
      const l4 = ((kernel.startInfo.pt_base_num - kernel.cpu.base) / 4096 + pages.mfn - pages.pfn) as Mfn;
      expect(() => kernel.mapForeign(SELF, [l4], true)).toThrow(/EINVAL|EPERM|EBUSY/);
      kernel.mapForeign(SELF, [l4], false).unmap();
      pages.free();
    });
  });

  test("grants a page to itself, maps it, and takes it back only when it is unmapped", () => {
    inDom0(function* (kernel): Task {
      yield* sleep(0);
      const page = kernel.allocPages(1);
      page.bytes[0] = 9;
      const ref = kernel.grants.grantAccess(0 as DomId, page.pfn, true);
      const mapping = kernel.mapGrant(0 as DomId, ref, true);
      expect(mapping.page(0)[0]).toBe(9);
      expect(() => kernel.mapGrant(0 as DomId, ref, false)).toThrow(/grant status/);
      expect(kernel.grants.endAccess(ref)).toBe(false);
      mapping.unmap();
      expect(kernel.grants.endAccess(ref)).toBe(true);
      expect(() => kernel.mapGrant(0 as DomId, ref, true)).toThrow(/grant status/);
    });
  });

  test("a thread's exception is in the hypervisor's log, and the kernel goes on", () => {
    const machine = inDom0(function* (kernel): Task {
      const bad = kernel.spawn(
        "clumsy",
        (function* (): Task {
          yield* sleep(10);
          throw new Error("dropped it");
        })(),
      );
      yield* bad.join();
    });
    expect(machine.log).toContain("thread clumsy: Error: dropped it");
  });

  test("what the kernel itself throws crashes dom0 with its stack in the log", () => {
    const machine = new Dom0Machine({
      main: kernelMain(function* (kernel): Task {
        yield* sleep(0);
        kernel.events.allocUnbound(SELF);
        (kernel.threads as { runOne: unknown }).runOne = undefined;
      }),
    });
    expect(() => machine.runToExit()).toThrow(/is not a function/);
    expect(machine.machine.exitStatus).toBe(3);
  });
});
