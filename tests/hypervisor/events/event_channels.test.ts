// Event channels, through the hypercall: states of ports, both ends of a channel, what is announced to whom.
import { beforeEach, describe, expect, test } from "vitest";
import type { Hypervisor } from "../../../hypervisor/hypervisor.ts";
import { killDomain } from "../../../hypervisor/lifecycle.ts";
import {
  EVTCHNOP_alloc_unbound,
  EVTCHNOP_bind_interdomain,
  EVTCHNOP_bind_ipi,
  EVTCHNOP_bind_pirq,
  EVTCHNOP_bind_vcpu,
  EVTCHNOP_bind_virq,
  EVTCHNOP_close,
  EVTCHNOP_init_control,
  EVTCHNOP_reset,
  EVTCHNOP_send,
  EVTCHNOP_status,
  EVTCHNOP_unmask,
} from "../../../shared/abi/event_channel.ts";
import {
  __HYPERVISOR_sched_op,
  __HYPERVISOR_event_channel_op as OP,
  VIRQ_CONSOLE,
  VIRQ_DEBUG,
  VIRQ_DOM_EXC,
  VIRQ_TIMER,
} from "../../../shared/abi/xen.ts";
import type { Port } from "../../../shared/brand.ts";
import { BareDomain, FLAT } from "../../harness/bare.ts";
import { bareMachine } from "../../harness/domu.ts";

const SELF = 0x7ff0;
let hv: Hypervisor;
let a: BareDomain;
let b: BareDomain;

beforeEach(() => {
  hv = bareMachine({ memoryMiB: 32 }).hv;
  a = new BareDomain(hv, 1, { vcpus: 2 });
  b = new BareDomain(hv, 2);
});

const unbound = (d: BareDomain, remote: number): number =>
  d.op(OP, EVTCHNOP_alloc_unbound, [SELF | (remote << 16), 0]).words[1];
const bind = (d: BareDomain, remote: number, port: number) => {
  const { result, words } = d.op(OP, EVTCHNOP_bind_interdomain, [remote, port, 0]);
  return { result, port: words[2] };
};
const send = (d: BareDomain, port: number): number => d.op(OP, EVTCHNOP_send, [port]).result;
const close = (d: BareDomain, port: number): number => d.op(OP, EVTCHNOP_close, [port]).result;
const status = (d: BareDomain, port: number): number[] =>
  d.op(OP, EVTCHNOP_status, [SELF, port, 0, 0, 0, 0]).words.slice(2);
const pending = (d: BareDomain, port: number): boolean => hv.events.isPending(d.domain, port);
const upcall = (d: BareDomain, vcpu = 0): number => hv.memory.u8[d.domain.vcpus[vcpu].vcpuInfo];
const clear = (d: BareDomain, port: number): void => {
  hv.events.clearPending(d.domain, port as Port);
  for (const vcpu of d.domain.vcpus) hv.memory.u8.fill(0, vcpu.vcpuInfo, vcpu.vcpuInfo + 16);
};

describe("event channels", () => {
  test("ports are given out from 1 on, the lowest free one first", () => {
    expect([unbound(a, 2), unbound(a, 2), unbound(a, 2)]).toEqual([1, 2, 3]);
    expect(close(a, 2)).toBe(0);
    expect(unbound(a, 2)).toBe(2);
    expect(unbound(a, 2)).toBe(4);
  });

  test("binding connects both ends; a send at either shows at the other, once until it is taken", () => {
    const port = unbound(a, 2);
    const bound = bind(b, 1, port);
    expect(bound.result).toBe(0);
    expect(pending(b, bound.port)).toBe(true); // Told at once, in case something was sent before.
    expect(status(a, port)).toEqual([2, 0, 2, bound.port]);
    expect(status(b, bound.port)).toEqual([2, 0, 1, port]);
    clear(b, bound.port);
    expect(send(a, port)).toBe(0);
    expect(pending(b, bound.port)).toBe(true);
    expect(pending(a, port)).toBe(false);
    expect(upcall(b)).toBe(1);
    hv.memory.u8[b.vcpu.vcpuInfo] = 0;
    expect(send(a, port)).toBe(0);
    expect(upcall(b)).toBe(0); // Still pending: nothing new to announce.
    expect(send(b, bound.port)).toBe(0);
    expect(pending(a, port)).toBe(true);
  });

  test("only the domain that the port is for can bind to it, and only once", () => {
    const port = unbound(a, 3);
    expect(bind(b, 1, port).result).toBe(-22);
    const mine = unbound(a, 2);
    expect(bind(b, 1, mine).result).toBe(0);
    expect(bind(b, 1, mine).result).toBe(-22);
    expect(bind(b, 1, 4000).result).toBe(-22);
    expect(bind(b, 77, 1).result).toBe(-3);
    expect(b.domain.events.active).toBe(1); // Nothing is left behind by what failed.
  });

  test("closing one end makes the other unbound, to be bound again by the same domain alone", () => {
    const port = unbound(a, 2);
    const bound = bind(b, 1, port).port;
    expect(close(b, bound)).toBe(0);
    expect(status(a, port)).toEqual([1, 0, 2, 0]);
    expect(send(a, port)).toBe(0);
    expect(close(b, bound)).toBe(-22);
    expect(bind(b, 1, port).result).toBe(0);
  });

  test("a domain's death closes its ports, which its peers see", () => {
    const port = unbound(a, 2);
    expect(bind(b, 1, port).result).toBe(0);
    hv.current = a.vcpu;
    while (killDomain(hv, b.domain) !== 0);
    expect(hv.domains.has(b.domain.id)).toBe(false);
    expect(status(a, port)).toEqual([1, 0, 2, 0]);
    expect(send(a, port)).toBe(0);
  });

  test("a masked port becomes pending without an upcall, and unmasking announces it", () => {
    const port = unbound(a, 1);
    const other = bind(a, 1, port).port;
    clear(a, other);
    const mask = a.domain.sharedInfo * 4096 + 2560;
    hv.memory.u8[mask + (other >> 3)] |= 1 << (other & 7);
    expect(send(a, port)).toBe(0);
    expect(pending(a, other)).toBe(true);
    expect(upcall(a)).toBe(0);
    expect(a.op(OP, EVTCHNOP_unmask, [other]).result).toBe(0);
    expect(upcall(a)).toBe(1);
    expect(hv.memory.u8[mask + (other >> 3)] & (1 << (other & 7))).toBe(0);
  });

  test("the vcpu that a port is bound to gets the upcall, with the selector's bit of the port's word", () => {
    for (let i = 0; i < 70; i++) unbound(a, 2);
    const port = 70;
    expect(a.op(OP, EVTCHNOP_bind_vcpu, [port, 1]).result).toBe(0);
    expect(bind(b, 1, port).result).toBe(0);
    expect(send(b, 1)).toBe(0);
    expect([upcall(a, 0), upcall(a, 1)]).toEqual([0, 1]);
    const selector = hv.memory.view.getBigUint64(a.domain.vcpus[1].vcpuInfo + 8, true);
    expect(selector).toBe(1n << 1n);
    expect(a.op(OP, EVTCHNOP_bind_vcpu, [port, 2]).result).toBe(-2);
  });

  test("VIRQs: one port each; per vcpu or the domain's; an IPI rings its own vcpu", () => {
    const virq = (n: number, vcpu: number) => a.op(OP, EVTCHNOP_bind_virq, [n, vcpu, 0]);
    expect(virq(VIRQ_TIMER, 1)).toEqual({ result: 0, words: [VIRQ_TIMER, 1, 1] });
    expect(virq(VIRQ_TIMER, 1).result).toBe(-17);
    expect(virq(VIRQ_TIMER, 0).result).toBe(0);
    expect(virq(VIRQ_CONSOLE, 1).result).toBe(-22);
    expect(virq(24, 0).result).toBe(-22);
    expect(virq(VIRQ_DEBUG, 7).result).toBe(-2);
    hv.events.sendVcpuVirq(a.domain.vcpus[1], VIRQ_TIMER);
    expect([pending(a, 1), pending(a, 2)]).toEqual([true, false]);
    expect(a.op(OP, EVTCHNOP_bind_vcpu, [1, 0]).result).toBe(-22);
    const ipi = a.op(OP, EVTCHNOP_bind_ipi, [1, 0]).words[1];
    expect(send(a, ipi)).toBe(0);
    expect(upcall(a, 1)).toBe(1);
    expect(close(a, 1)).toBe(0);
    expect(virq(VIRQ_TIMER, 1).result).toBe(0);
  });

  test("a global VIRQ goes to dom0, wherever it bound it", () => {
    const dom0 = new BareDomain(hv, 0, { privileged: true });
    const { words } = dom0.op(OP, EVTCHNOP_bind_virq, [VIRQ_DOM_EXC, 0, 0]);
    hv.crash(b.domain, "to see it told");
    expect(pending(dom0, words[2])).toBe(true);
    expect(b.domain.shutdownReason).toBe(3);
  });

  test("physical interrupts are for the privileged, one owner each, and freed by close", () => {
    expect(a.op(OP, EVTCHNOP_bind_pirq, [16, 0, 0]).result).toBe(-1);
    const dom0 = new BareDomain(hv, 0, { privileged: true });
    const { result, words } = dom0.op(OP, EVTCHNOP_bind_pirq, [16, 0, 0]);
    expect(result).toBe(0);
    expect(dom0.op(OP, EVTCHNOP_bind_pirq, [16, 0, 0]).result).toBe(-17);
    expect(dom0.op(OP, EVTCHNOP_bind_pirq, [256, 0, 0]).result).toBe(-22);
    hv.events.sendPirq(16);
    expect(pending(dom0, words[2])).toBe(true);
    clear(dom0, words[2]);
    expect(close(dom0, words[2])).toBe(0);
    hv.events.sendPirq(16);
    expect(pending(dom0, words[2])).toBe(false);
  });

  test("all 4095 ports can be had, and not one more; reset gives them back", () => {
    for (let i = 1; i < 4096; i++) if (unbound(a, 2) !== i) throw new Error(`port ${i}`);
    expect(a.op(OP, EVTCHNOP_alloc_unbound, [SELF, 0]).result).toBe(-28);
    expect(send(a, 4096)).toBe(-22);
    expect(send(a, 0xffffffff)).toBe(-22);
    expect(a.op(OP, EVTCHNOP_reset, [SELF]).result).toBe(0);
    expect(a.domain.events.active).toBe(0);
    expect(unbound(a, 2)).toBe(1);
  });

  test("the FIFO ABI isn't there, and other domains' ports are not to be touched", () => {
    expect(a.op(OP, EVTCHNOP_init_control, [0, 0, 0, 0, 0, 0]).result).toBe(-38);
    expect(a.op(OP, EVTCHNOP_alloc_unbound, [2, 0]).result).toBe(-1);
    expect(a.op(OP, EVTCHNOP_status, [2, 1, 0, 0, 0, 0]).result).toBe(-1);
    expect(a.op(OP, EVTCHNOP_status, [2, 200, 0, 0, 0, 0]).result).toBe(-22); // No such port comes first.
    expect(a.op(OP, EVTCHNOP_reset, [2]).result).toBe(-1);
    expect(a.call(OP, EVTCHNOP_send, 0x10)).toBe(-14);
    expect(a.call(OP, EVTCHNOP_send, 0x800000000000n)).toBe(-14);
  });
});

describe("polling", () => {
  const poll = (ports: number[], timeout = 0): number => {
    a.view.setBigUint64(0x100, BigInt(FLAT + 0x200), true);
    a.view.setUint32(0x108, ports.length, true);
    a.view.setBigUint64(0x110, BigInt(timeout), true);
    ports.forEach((port, i) => {
      a.view.setUint32(0x200 + i * 4, port, true);
    });
    return a.call(__HYPERVISOR_sched_op, 3, FLAT + 0x100);
  };

  test("sleeps until one of the ports is pending, masked or not", () => {
    const port = unbound(a, 2);
    const bound = bind(b, 1, port).port;
    hv.memory.u8.fill(0xff, a.domain.sharedInfo * 4096 + 2560, a.domain.sharedInfo * 4096 + 3072);
    expect(poll([port])).toBe(0);
    expect(a.vcpu.polling).toEqual([port]);
    expect(send(b, bound)).toBe(0);
    expect(a.vcpu.polling).toBeUndefined();
    expect(poll([port])).toBe(0); // Pending already: no sleep.
    expect(a.vcpu.polling).toBeUndefined();
  });

  test("ends at its timeout, refuses bad ports and more than 128 of them", () => {
    const port = unbound(a, 2);
    expect(poll([port], 5000)).toBe(0);
    expect(a.vcpu.polling).toEqual([port]);
    hv.time.clock.advance(5000);
    hv.time.timers.run(hv.time.now());
    expect(a.vcpu.polling).toBeUndefined();
    expect(poll([99])).toBe(-22);
    expect(poll(new Array(129).fill(port))).toBe(-22);
    expect(a.domain.pollers).toBe(0);
  });
});
