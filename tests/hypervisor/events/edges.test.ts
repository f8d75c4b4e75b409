// Event channels at their edges: no port left, ports of dying domains, numbers out of range, who may touch whose, what the
// status of each state tells, moving ports between vcpus, polls that end at once.
import { beforeEach, describe, expect, test } from "vitest";
import type { Domain } from "../../../hypervisor/domain.ts";
import type { Hypervisor } from "../../../hypervisor/hypervisor.ts";
import { createDomain, killDomain } from "../../../hypervisor/lifecycle.ts";
import {
  EVTCHNOP_alloc_unbound,
  EVTCHNOP_bind_interdomain,
  EVTCHNOP_bind_ipi,
  EVTCHNOP_bind_pirq,
  EVTCHNOP_bind_vcpu,
  EVTCHNOP_bind_virq,
  EVTCHNOP_close,
  EVTCHNOP_reset,
  EVTCHNOP_send,
  EVTCHNOP_status,
  EVTCHNOP_unmask,
  EVTCHNSTAT_closed,
  EVTCHNSTAT_interdomain,
  EVTCHNSTAT_ipi,
  EVTCHNSTAT_pirq,
  EVTCHNSTAT_unbound,
  EVTCHNSTAT_virq,
} from "../../../shared/abi/event_channel.ts";
import {
  __HYPERVISOR_event_channel_op_compat,
  __HYPERVISOR_sched_op,
  __HYPERVISOR_event_channel_op as OP,
  VIRQ_CONSOLE,
  VIRQ_DEBUG,
  VIRQ_TIMER,
} from "../../../shared/abi/xen.ts";
import type { DomId, Port } from "../../../shared/brand.ts";
import { BareDomain, FLAT } from "../../harness/bare.ts";
import { bareMachine } from "../../harness/domu.ts";

const SELF = 0x7ff0;
let hv: Hypervisor;
let dom0: BareDomain;
let a: BareDomain;
let b: BareDomain;

beforeEach(() => {
  hv = bareMachine({ memoryMiB: 32 }).hv;
  dom0 = new BareDomain(hv, 0, { privileged: true });
  a = new BareDomain(hv, 1, { vcpus: 2 });
  b = new BareDomain(hv, 2);
});

const allocate = (d: BareDomain, dom: number, remote: number) => {
  const { result, words } = d.op(OP, EVTCHNOP_alloc_unbound, [dom | (remote << 16), 0]);
  return { result, port: words[1] };
};
const unbound = (d: BareDomain, remote: number): number => allocate(d, SELF, remote).port;
const bind = (d: BareDomain, remote: number, port: number) => {
  const { result, words } = d.op(OP, EVTCHNOP_bind_interdomain, [remote, port, 0]);
  return { result, port: words[2] };
};
const virq = (d: BareDomain, which: number, vcpu = 0) => {
  const { result, words } = d.op(OP, EVTCHNOP_bind_virq, [which, vcpu, 0]);
  return { result, port: words[2] };
};
const ipi = (d: BareDomain, vcpu: number) => {
  const { result, words } = d.op(OP, EVTCHNOP_bind_ipi, [vcpu, 0]);
  return { result, port: words[1] };
};
const pirq = (d: BareDomain, which: number) => {
  const { result, words } = d.op(OP, EVTCHNOP_bind_pirq, [which, 0, 0]);
  return { result, port: words[2] };
};
const one = (d: BareDomain, cmd: number, port: number): number => d.op(OP, cmd, [port]).result;
const bindVcpu = (d: BareDomain, port: number, vcpu: number): number =>
  d.op(OP, EVTCHNOP_bind_vcpu, [port, vcpu]).result;
const status = (d: BareDomain, dom: number, port: number) => {
  const { result, words } = d.op(OP, EVTCHNOP_status, [dom, port, 0, 0, 0, 0]);
  return { result, told: words.slice(2) };
};
const upcall = (d: BareDomain, vcpu: number): number => hv.memory.u8[d.domain.vcpus[vcpu].vcpuInfo];
const clear = (d: BareDomain, port: number): void => {
  hv.events.clearPending(d.domain, port as Port);
  for (const vcpu of d.domain.vcpus) hv.memory.u8.fill(0, vcpu.vcpuInfo, vcpu.vcpuInfo + 16);
};

describe("when no port is left", () => {
  test("nothing can be bound, and what was to be bound stays as it was", () => {
    const offered = unbound(b, 1);
    while (allocate(a, SELF, 2).result === 0);
    while (allocate(dom0, SELF, 2).result === 0);
    expect(bind(a, 2, offered).result).toBe(-28);
    expect(status(b, SELF, offered).told[0]).toBe(EVTCHNSTAT_unbound);
    expect(virq(a, VIRQ_TIMER).result).toBe(-28);
    expect(ipi(a, 0).result).toBe(-28);
    expect(pirq(dom0, 9).result).toBe(-28);
    expect(hv.events.pirqOwner(9)).toBeUndefined();
    expect(a.domain.events.active).toBe(4095);
    expect(one(a, EVTCHNOP_close, 4095)).toBe(0);
    expect(virq(a, VIRQ_TIMER)).toEqual({ result: 0, port: 4095 });
    expect(one(a, EVTCHNOP_close, 7)).toBe(0);
    expect(one(a, EVTCHNOP_close, 6)).toBe(0);
    expect(bind(a, 2, offered)).toEqual({ result: 0, port: 6 });
    expect(ipi(a, 0)).toEqual({ result: 0, port: 7 });
  });

  test("a domain may be given fewer", () => {
    const c = new BareDomain(hv, 7);
    expect(c.domain.events.active).toBe(0);
    for (const port of [4095, 4096, 0xffffffff]) {
      for (const cmd of [EVTCHNOP_close, EVTCHNOP_send, EVTCHNOP_unmask])
        expect([cmd, port, one(c, cmd, port)]).toEqual([cmd, port, -22]);
      expect(bindVcpu(c, port, 0)).toBe(-22);
      expect(status(c, SELF, port).result).toBe(-22);
      expect(bind(c, 1, port).result).toBe(-22);
    }
  });
});

describe("a dying domain", () => {
  test("gets no ports any more, by nobody, and what is offered to it is not bound", () => {
    const offered = unbound(a, 2);
    while (killDomain(hv, b.domain) !== 0);
    expect(b.domain.events.allocUnbound(1)).toBe(-22);
    expect(allocate(dom0, 2, 0).result).toBe(-3);
    expect(status(a, SELF, offered).told[0]).toBe(EVTCHNSTAT_unbound);
    expect(bind(a, 2, 1).result).toBe(-3);
  });
});

describe("what the status of a port tells", () => {
  test("of each state", () => {
    const remote = unbound(b, 1);
    const offered = unbound(a, 2);
    const inter = bind(a, 2, remote).port;
    const timer = virq(a, VIRQ_TIMER, 1).port;
    const rings = ipi(a, 1).port;
    const line = pirq(dom0, 9).port;
    expect(status(a, SELF, offered).told).toEqual([EVTCHNSTAT_unbound, 0, 2, 0]);
    expect(status(a, SELF, inter).told).toEqual([EVTCHNSTAT_interdomain, 0, 2, remote]);
    expect(status(b, SELF, remote).told).toEqual([EVTCHNSTAT_interdomain, 0, 1, inter]);
    expect(status(a, SELF, timer).told).toEqual([EVTCHNSTAT_virq, 1, VIRQ_TIMER, 0]);
    expect(status(a, SELF, rings).told.slice(0, 2)).toEqual([EVTCHNSTAT_ipi, 1]);
    expect(status(dom0, SELF, line).told.slice(0, 3)).toEqual([EVTCHNSTAT_pirq, 0, 9]);
    expect(status(a, SELF, 63)).toEqual({ result: 0, told: [EVTCHNSTAT_closed, 0, 0, 0] });
    expect(status(a, SELF, 64).result).toBe(-22);
  });

  test("is for the domain itself and the privileged", () => {
    const port = unbound(a, 2);
    expect(status(b, 1, port).result).toBe(-1);
    expect(status(dom0, 1, port)).toEqual({ result: 0, told: [EVTCHNSTAT_unbound, 0, 2, 0] });
    expect(status(dom0, 77, port).result).toBe(-3);
  });
});

describe("who may touch whose", () => {
  test("the privileged offer ports of others; SELF as the remote means the caller", () => {
    expect(allocate(b, 1, 2).result).toBe(-1);
    expect(allocate(b, 77, 2).result).toBe(-3);
    const { result, port } = allocate(dom0, 1, SELF);
    expect(result).toBe(0);
    expect(status(a, SELF, port).told).toEqual([EVTCHNSTAT_unbound, 0, 0, 0]);
    expect(bind(dom0, 1, port).result).toBe(0);
  });

  test("reset: of oneself, or by the privileged of a domain that they paused", () => {
    const reset = (d: BareDomain, dom: number): number => d.op(OP, EVTCHNOP_reset, [dom]).result;
    unbound(a, 2);
    expect(reset(b, 1)).toBe(-1);
    expect(reset(b, 77)).toBe(-3);
    a.domain.controllerPauseCount = 0;
    expect(reset(dom0, 1)).toBe(-22);
    expect(a.domain.events.active).toBe(1);
    a.domain.controllerPauseCount = 1;
    expect(reset(dom0, 1)).toBe(0);
    expect(a.domain.events.active).toBe(0);
    a.domain.controllerPauseCount = 0;
    unbound(a, 2);
    expect(reset(a, SELF)).toBe(0);
    expect(a.domain.events.active).toBe(0);
  });

  test("arguments that can't be read or written back", () => {
    for (const cmd of [
      EVTCHNOP_alloc_unbound,
      EVTCHNOP_bind_interdomain,
      EVTCHNOP_bind_virq,
      EVTCHNOP_bind_ipi,
      EVTCHNOP_bind_pirq,
      EVTCHNOP_bind_vcpu,
      EVTCHNOP_status,
      EVTCHNOP_reset,
      EVTCHNOP_close,
      EVTCHNOP_unmask,
    ])
      expect([cmd, a.call(OP, cmd, 0x1000)]).toEqual([cmd, -14]);
    expect(a.domain.events.active).toBe(0);
  });
});

describe("moving a port to a vcpu", () => {
  test("global VIRQs, interdomain, unbound and physical ones; none else, none out of range", () => {
    const global = virq(a, VIRQ_CONSOLE).port;
    const local = virq(a, VIRQ_DEBUG, 1).port;
    const offered = unbound(a, SELF);
    const inter = bind(a, 1, offered).port;
    const rings = ipi(a, 1).port;
    expect([global, offered, inter].map((port) => bindVcpu(a, port, 1))).toEqual([0, 0, 0]);
    expect([local, rings, 0, 100].map((port) => bindVcpu(a, port, 0))).toEqual([-22, -22, -22, -22]);
    expect(bindVcpu(a, offered, 2)).toBe(-2);
    expect(bindVcpu(dom0, pirq(dom0, 9).port, 0)).toBe(0);
    expect([global, local, offered, inter].map((port) => status(a, SELF, port).told[1])).toEqual([1, 1, 1, 1]);
  });

  test("takes the upcalls along; closing forgets it", () => {
    const offered = unbound(a, SELF);
    const inter = bind(a, 1, offered).port;
    expect(bindVcpu(a, offered, 1)).toBe(0);
    clear(a, inter);
    clear(a, offered);
    expect(one(a, EVTCHNOP_send, inter)).toBe(0);
    expect([upcall(a, 0), upcall(a, 1)]).toEqual([0, 1]);
    expect(one(a, EVTCHNOP_close, offered)).toBe(0);
    expect(unbound(a, 2)).toBe(offered);
    expect(status(a, SELF, offered).told[1]).toBe(0);
  });

  test("VIRQs: of one vcpu on each; global ones on vcpu 0 when bound; numbers at the edge", () => {
    expect(virq(a, VIRQ_TIMER, 0).result).toBe(0);
    expect(virq(a, VIRQ_TIMER, 1).result).toBe(0);
    expect(virq(a, VIRQ_TIMER, 1).result).toBe(-17);
    expect(virq(a, VIRQ_TIMER, 2).result).toBe(-2);
    expect(virq(a, VIRQ_CONSOLE, 1).result).toBe(-22);
    for (const local of [VIRQ_DEBUG, 7, 13]) expect([local, virq(a, local, 1).result]).toEqual([local, 0]);
    for (const global of [2, 3, 4, 6, 8, 23]) expect([global, virq(a, global, 1).result]).toEqual([global, -22]);
    expect(virq(a, 23).result).toBe(0);
    expect(virq(a, 24).result).toBe(-22);
    expect(ipi(a, 2).result).toBe(-2);
  });

  test("a VIRQ's port can't be sent to, and is free to be bound again when closed", () => {
    const { port } = virq(a, VIRQ_TIMER, 1);
    expect(one(a, EVTCHNOP_send, port)).toBe(-22);
    hv.events.sendVcpuVirq(a.domain.vcpus[0], VIRQ_TIMER);
    expect(hv.events.isPending(a.domain, port)).toBe(false);
    hv.events.sendVcpuVirq(a.domain.vcpus[1], VIRQ_TIMER);
    expect(hv.events.isPending(a.domain, port)).toBe(true);
    expect(one(a, EVTCHNOP_close, port)).toBe(0);
    expect(hv.events.isPending(a.domain, port)).toBe(false);
    expect(virq(a, VIRQ_TIMER, 1).result).toBe(0);
  });
});

describe("unmask", () => {
  test("a port that is not pending, or was not masked, announces nothing", () => {
    const offered = unbound(a, SELF);
    const inter = bind(a, 1, offered).port;
    clear(a, inter);
    const mask = a.domain.sharedInfo * 4096 + 2560;
    hv.memory.u8[mask] = 0xff;
    expect(one(a, EVTCHNOP_unmask, offered)).toBe(0);
    expect([upcall(a, 0), hv.memory.u8[mask]]).toEqual([0, 0xff & ~(1 << offered)]);
    expect(one(a, EVTCHNOP_send, inter)).toBe(0);
    expect(upcall(a, 0)).toBe(1);
    for (const vcpu of a.domain.vcpus) hv.memory.u8.fill(0, vcpu.vcpuInfo, vcpu.vcpuInfo + 16);
    expect(one(a, EVTCHNOP_unmask, offered)).toBe(0); // Not masked: it has been announced before.
    expect(upcall(a, 0)).toBe(0);
  });

  test("a free port's mask bit is cleared like any other's", () => {
    const mask = a.domain.sharedInfo * 4096 + 2560;
    hv.memory.u8[mask + 7] = 0xff;
    expect(one(a, EVTCHNOP_unmask, 60)).toBe(0);
    expect(hv.memory.u8[mask + 7]).toBe(0xef);
    expect(one(a, EVTCHNOP_unmask, 63)).toBe(0);
    expect(hv.memory.u8[mask + 7]).toBe(0x6f);
    expect(one(a, EVTCHNOP_unmask, 64)).toBe(-22);
    expect(unbound(a, 2)).toBe(1);
  });
});

describe("the old form of the call", () => {
  const compat = (words: number[], va = FLAT): number => {
    words.forEach((word, i) => {
      a.view.setUint32(i * 4, word, true);
    });
    return a.call(__HYPERVISOR_event_channel_op_compat, va);
  };

  test("has the command before its argument, and the result in it", () => {
    expect(compat([EVTCHNOP_alloc_unbound, SELF | (2 << 16), 0])).toBe(0);
    expect(a.view.getUint32(8, true)).toBe(1);
    expect(status(a, SELF, 1).told[0]).toBe(EVTCHNSTAT_unbound);
    expect(compat([EVTCHNOP_close, 1])).toBe(0);
    expect(compat([99, 0])).toBe(-38);
    expect(compat([], 0x1000)).toBe(-14);
    expect(a.call(__HYPERVISOR_event_channel_op_compat, 1n << 47n)).toBe(-14);
  });
});

describe("the hypervisor's own events", () => {
  test("reach what is bound, and nothing else", () => {
    hv.events.sendPirq(9);
    const line = pirq(dom0, 9).port;
    expect(hv.events.isPending(dom0.domain, line)).toBe(false);
    hv.events.sendPirq(10);
    hv.events.sendPirq(9);
    expect(hv.events.isPending(dom0.domain, line)).toBe(true);
    expect(pirq(a, 9).result).toBe(-1);
    expect(pirq(dom0, 9).result).toBe(-17);
    expect(pirq(new BareDomain(hv, 5, { privileged: true }), 9).result).toBe(-16); // Another's.
    expect(pirq(dom0, 100000).result).toBe(-22);
  });
});

describe("polls", () => {
  const poll = (list: bigint, count: number, timeout = 0n): number => {
    a.view.setBigUint64(0x100, list, true);
    a.view.setUint32(0x108, count, true);
    a.view.setBigUint64(0x110, timeout, true);
    return a.call(__HYPERVISOR_sched_op, 3, FLAT + 0x100);
  };

  test("return at once when an upcall is due, or the time is past; lists out of reach are refused", () => {
    const offered = unbound(a, SELF);
    const inter = bind(a, 1, offered).port;
    clear(a, inter);
    a.view.setUint32(0x200, offered, true);
    hv.memory.u8[a.vcpu.vcpuInfo + 1] = 0;
    hv.memory.u8[a.vcpu.vcpuInfo] = 1;
    expect(poll(BigInt(FLAT + 0x200), 1)).toBe(0);
    expect(a.vcpu.polling).toBeUndefined();
    hv.memory.u8[a.vcpu.vcpuInfo] = 0;
    expect(poll(BigInt(FLAT + 0x200), 1, 1n)).toBe(0);
    expect(a.vcpu.polling).toBeUndefined();
    expect(poll(0x1000n, 1)).toBe(-14);
    expect(poll(0xffff800000000000n, 1)).toBe(-14);
    expect(poll(1n << 47n, 1)).toBe(-14);
    a.view.setUint32(0x200, 0, true);
    expect(poll(BigInt(FLAT + 0x200), 1)).toBe(-22); // Port 0 is reserved.
    const closed = unbound(a, SELF);
    expect(one(a, EVTCHNOP_close, closed)).toBe(0);
    a.view.setUint32(0x200, closed, true);
    expect(poll(BigInt(FLAT + 0x200), 1)).toBe(-22);
    // The list is read as far as a port that is pending, and not to its end.
    hv.memory.u32[a.domain.sharedInfo * 1024 + 2048 / 4] |= 1 << offered;
    a.unmap(0x2000);
    a.view.setUint32(0x1ffc, offered, true);
    expect(poll(BigInt(FLAT + 0x1ffc), 2)).toBe(0);
    a.view.setUint32(0x1ffc, inter, true);
    expect(poll(BigInt(FLAT + 0x1ffc), 2)).toBe(-14);
    expect(a.domain.pollers).toBe(0);
    expect(poll(BigInt(FLAT + 0x200), 128)).toBe(-22);
    expect(a.call(__HYPERVISOR_sched_op, 3, 0x1000)).toBe(-14);
  });

  test("of 128 ports sleep until any of them; of one not for another's sake", () => {
    const offered = Array.from({ length: 128 }, () => unbound(a, 2));
    const sends = offered.slice(0, 3).map((port) => bind(b, 1, port).port);
    hv.memory.u8.fill(0xff, a.domain.sharedInfo * 4096 + 2560, a.domain.sharedInfo * 4096 + 3072);
    offered.forEach((port, i) => {
      a.view.setUint32(0x200 + i * 4, port, true);
    });
    expect(poll(BigInt(FLAT + 0x200), 128)).toBe(0);
    expect(a.vcpu.polling?.length).toBe(128);
    expect(one(b, EVTCHNOP_send, sends[2])).toBe(0);
    expect(a.vcpu.polling).toBeUndefined();
    expect(poll(BigInt(FLAT + 0x200), 1)).toBe(0);
    expect(one(b, EVTCHNOP_send, sends[1])).toBe(0);
    expect(a.vcpu.polling).toEqual([offered[0]]);
    expect(one(b, EVTCHNOP_send, sends[0])).toBe(0);
    expect([a.vcpu.polling, a.domain.pollers]).toEqual([undefined, 0]);
  });
});

test("an event for a domain that has no vcpu yet waits for one", () => {
  const config = { privileged: false, processor: hv.x86, handle: new Uint8Array(16), maxVcpus: 1, maxPages: 8 };
  const fresh = createDomain(hv, { ...config, id: 5 as DomId, maxGrantFrames: 1, maxMaptrackFrames: 1 }) as Domain;
  const port = fresh.events.allocUnbound(1);
  const { result, port: mine } = bind(a, 5, port);
  expect(result).toBe(0);
  hv.memory.u8.fill(0, fresh.sharedInfo * 4096 + 2560, fresh.sharedInfo * 4096 + 3072); // No port is masked.
  expect(one(a, EVTCHNOP_send, mine)).toBe(0);
  expect(hv.events.isPending(fresh, port)).toBe(true);
});
