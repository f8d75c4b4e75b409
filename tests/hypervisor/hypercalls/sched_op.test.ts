// sched_op and its old form, by hypercall: who may end whom and with which reason, watchdogs, yielding and blocking.
import { beforeEach, describe, expect, test } from "vitest";
import type { Hypervisor } from "../../../hypervisor/hypervisor.ts";
import {
  SCHEDOP_block,
  SCHEDOP_pin_override,
  SCHEDOP_remote_shutdown,
  SCHEDOP_shutdown,
  SCHEDOP_shutdown_code,
  SCHEDOP_watchdog,
  SCHEDOP_yield,
} from "../../../shared/abi/sched.ts";
import { __HYPERVISOR_sched_op_compat as COMPAT, __HYPERVISOR_sched_op as OP } from "../../../shared/abi/xen.ts";
import { BareDomain, FLAT } from "../../harness/bare.ts";
import { bareMachine } from "../../harness/domu.ts";

const NOWHERE = 0x1000;
let hv: Hypervisor;
let dom0: BareDomain;
let a: BareDomain;

beforeEach(() => {
  hv = bareMachine({ memoryMiB: 32 }).hv;
  dom0 = new BareDomain(hv, 0, { privileged: true });
  a = new BareDomain(hv, 1, { vcpus: 2 });
});

const op = (d: BareDomain, cmd: number, words: number[]): number => {
  words.forEach((word, i) => {
    d.view.setUint32(i * 4, word, true);
  });
  return d.call(OP, cmd, FLAT);
};
const ended = (d: BareDomain): [boolean, number] => [d.domain.isShutDown, d.domain.shutdownReason];

describe("an end", () => {
  test("by itself, with the low byte of the reason", () => {
    expect(a.call(OP, SCHEDOP_shutdown, NOWHERE)).toBe(-14);
    expect(ended(a)).toEqual([false, -1]);
    expect(op(a, SCHEDOP_shutdown, [0x102])).toBe(0);
    expect(ended(a)).toEqual([true, 2]);
  });

  test("the first reason told is the one that counts", () => {
    expect(a.call(OP, SCHEDOP_shutdown_code, NOWHERE)).toBe(-14);
    expect(op(a, SCHEDOP_shutdown_code, [0x103])).toBe(0);
    expect(op(a, SCHEDOP_shutdown_code, [1])).toBe(0);
    expect(ended(a)).toEqual([false, 3]);
    expect(op(a, SCHEDOP_shutdown, [0])).toBe(0);
    expect(ended(a)).toEqual([true, 3]);
  });

  test("of another is for the privileged", () => {
    expect(dom0.call(OP, SCHEDOP_remote_shutdown, NOWHERE)).toBe(-14);
    expect(op(dom0, SCHEDOP_remote_shutdown, [77, 3])).toBe(-3);
    expect(op(a, SCHEDOP_remote_shutdown, [0, 3])).toBe(-1);
    expect(ended(dom0)).toEqual([false, -1]);
    expect(op(dom0, SCHEDOP_remote_shutdown, [1, 0x203])).toBe(0);
    expect(ended(a)).toEqual([true, 3]);
  });

  test("by the old form, with the reason by value", () => {
    expect(a.call(COMPAT, 3, 0)).toBe(-38);
    expect(a.call(COMPAT, SCHEDOP_shutdown, 0x101)).toBe(0);
    expect(ended(a)).toEqual([true, 1]);
  });
});

describe("watchdogs", () => {
  const dog = (id: number, seconds: number): number => op(a, SCHEDOP_watchdog, [id, seconds]);
  const pass = (seconds: number): void => {
    hv.time.clock.advance(seconds * 1e9);
    hv.time.timers.run(hv.time.now());
  };

  test("there are two; each is set again and stopped by its number", () => {
    expect(a.call(OP, SCHEDOP_watchdog, NOWHERE)).toBe(-14);
    expect([dog(0, 10), dog(0, 20), dog(0, 30)]).toEqual([1, 2, -28]);
    expect([dog(3, 1), dog(0xffffffff, 1)]).toEqual([-22, -22]);
    pass(5);
    expect(dog(1, 10)).toBe(0);
    pass(6);
    expect(a.domain.isShutDown).toBe(false);
    expect(dog(2, 0)).toBe(0);
    expect(dog(2, 5)).toBe(-22); // It is nobody's any more.
    expect(dog(1, 0)).toBe(0);
    pass(100);
    expect(a.domain.isShutDown).toBe(false);
    expect(dog(0, 1)).toBe(1);
  });

  test("one that isn't fed ends the domain with its own reason", () => {
    dog(0, 10);
    pass(9.999);
    expect(a.domain.isShutDown).toBe(false);
    pass(0.001);
    expect(ended(a)).toEqual([true, 4]);
    expect(hv.log.read(0, 1e6)).toContain("Watchdog timer 0 of domain 1 fired");
  });
});

describe("giving up the processor", () => {
  beforeEach(() => {
    for (const vcpu of a.domain.vcpus) vcpu.down = false;
    hv.sched.unpause(a.domain);
    hv.sched.schedule();
  });

  test("block unmasks upcalls and sleeps, unless an event waits", () => {
    const info = a.vcpu.vcpuInfo;
    hv.memory.u8[info + 1] = 1;
    hv.memory.u8[info] = 1;
    expect(a.call(OP, SCHEDOP_block)).toBe(0);
    expect([hv.memory.u8[info + 1], a.vcpu.blocked]).toEqual([0, false]);
    hv.memory.u8[info] = 0;
    expect(a.call(OP, SCHEDOP_block)).toBe(0);
    expect(a.vcpu.blocked).toBe(true);
    hv.events.markPending(a.vcpu);
    expect(a.vcpu.blocked).toBe(false);
    hv.memory.u8[info] = 0;
    expect(a.call(COMPAT, SCHEDOP_block)).toBe(0);
    expect(a.vcpu.blocked).toBe(true);
  });

  test("yield lets the other vcpu go first", () => {
    const first = hv.sched.running;
    expect(first).toBeDefined();
    for (const nr of [OP, COMPAT]) {
      const before = hv.sched.running!;
      expect(a.callOn(before, nr, SCHEDOP_yield)).toBe(0);
      expect(hv.sched.reschedule).toBe(true);
      hv.sched.schedule();
      expect(hv.sched.running).not.toBe(before);
    }
  });

  test("an override of the pinning is for the privileged, and for the processor that there is", () => {
    expect(op(a, SCHEDOP_pin_override, [0])).toBe(-1);
    expect(op(dom0, SCHEDOP_pin_override, [0])).toBe(0);
    expect(op(dom0, SCHEDOP_pin_override, [1])).toBe(-22);
    expect(dom0.call(OP, SCHEDOP_pin_override, NOWHERE)).toBe(-14);
    expect(a.call(OP, 99, FLAT)).toBe(-38);
  });
});
