// The end of a domain: done in small pieces if it made itself costly to end, between which others run, whoever asked for it; what
// it leaves, and what is told of it.

import { beforeEach, expect, it } from "vitest";
import { Pin } from "../../hypervisor/grants/grant_table.ts";
import type { Hypervisor } from "../../hypervisor/hypervisor.ts";
import { reportState } from "../../hypervisor/lifecycle.ts";
import { Reg } from "../../hypervisor/machine/cpu_state.ts";
import { PageType } from "../../hypervisor/memory/frame_table.ts";
import { XEN_DOMCTL_destroydomain, XEN_DOMCTL_INTERFACE_VERSION, XenDomctl } from "../../shared/abi/domctl.ts";
import { XEN_ERESTART } from "../../shared/abi/errno.ts";
import { GNTMAP_device_map, GNTMAP_readonly, GNTST_okay, GTF_permit_access } from "../../shared/abi/grant_table.ts";
import { VCPUOP_register_vcpu_info } from "../../shared/abi/vcpu.ts";
import { __HYPERVISOR_domctl, __HYPERVISOR_vcpu_op, VIRQ_DOM_EXC } from "../../shared/abi/xen.ts";
import type { DomId, Mfn, Port, Va } from "../../shared/brand.ts";
import { BareDomain, FLAT } from "../harness/bare.ts";
import { bareMachine } from "../harness/domu.ts";

const TABLES = 60;
let hv: Hypervisor;
let dom0: BareDomain;
let longest: number;
let checker: () => string[];

beforeEach(() => {
  const machine = bareMachine({ memoryMiB: 32 });
  hv = machine.hv;
  checker = () => machine.checker();
  dom0 = new BareDomain(hv, 0, { privileged: true });
  longest = 0;
  const relinquish = hv.mm.relinquish.bind(hv.mm);
  hv.mm.relinquish = (domain, budget) => {
    const before = hv.mm.types.work;
    const left = relinquish(domain, budget);
    longest = Math.max(longest, hv.mm.types.work - before);
    expect(checker()).toEqual([]);
    return left;
  };
});

/** A domain whose frames are level-1 tables, each pinned by itself and full of entries. */
function full(): BareDomain {
  const a = new BareDomain(hv, 1);
  for (let i = 0; i < TABLES; i++) {
    const table = a.domain.memory.alloc() as Mfn;
    for (let j = 0; j < 512; j++) hv.memory.u32[table * 1024 + j * 2] = (a.data + (j % 128)) * 4096 + 5;
    expect(hv.mm.pin(table, PageType.L1, a.domain.id)).toBe(0);
  }
  return a;
}

function destroy(): number {
  const op = XenDomctl.at(dom0.view);
  op.cmd = XEN_DOMCTL_destroydomain;
  op.interface_version = XEN_DOMCTL_INTERFACE_VERSION;
  op.domain = 1;
  return dom0.call(__HYPERVISOR_domctl, FLAT);
}

it("no piece is longer because frames are tables", () => {
  full();
  const free = hv.frames.freeFrames;
  expect(destroy()).toBe(0);
  expect(longest).toBeLessThanOrEqual(5 * 512);
  expect(hv.frames.freeFrames).toBeGreaterThan(free + TABLES);
  expect(hv.domains.has(1 as never)).toBe(false);
});

it("the registers of a domain that ran last are not written into frames that were its own", () => {
  const a = new BareDomain(hv, 1);
  const { cpu } = a.vcpu;
  const other = new BareDomain(hv, 2).vcpu.cpu;
  hv.x86.run(cpu, 1);
  expect(destroy()).toBe(0);
  const frame = hv.memory.frame((cpu.address >>> 12) as Mfn).fill(0xaa);
  hv.x86.run(other, 1);
  expect(frame.every((byte) => byte === 0xaa)).toBe(true);
});

it("nor because it has mapped much, of itself or of others (XSA-380)", () => {
  const a = new BareDomain(hv, 1);
  const b = new BareDomain(hv, 2);
  const { mappings } = hv.grants;
  const uses = (): number => [a, b].reduce((sum, of) => sum + of.domain.grants.pins.reduce((x, y) => x + y), 0);
  for (const granter of [a, b])
    for (let ref = 8; ref < 208; ref++) {
      const entry = granter.domain.grants.frames[0] * 1024 + ref * 2;
      hv.memory.u32[entry] = GTF_permit_access | (1 << 16);
      hv.memory.u32[entry + 1] = granter.data;
      const flags = GNTMAP_device_map | GNTMAP_readonly;
      expect(mappings.map(a.vcpu, granter.domain.id, ref, flags, { lo: 0, hi: 0 })).toBe(GNTST_okay);
    }
  expect(uses()).toBe(400 * Pin.devr);
  const released: number[] = [];
  const releaseAll = mappings.releaseAll.bind(mappings);
  mappings.releaseAll = (domain, budget) => {
    const before = uses();
    const left = releaseAll(domain, budget);
    released.push((before - uses()) / Pin.devr);
    expect(checker()).toEqual([]);
    return left;
  };
  expect(destroy()).toBe(0);
  expect(Math.max(...released)).toBe(128);
  expect(uses()).toBe(0);
});

it("a kernel in TypeScript, whose calls are not continued behind its back, is told to call again", () => {
  full();
  dom0.domain.processor = { run: () => 0, retired: 0 };
  let calls = 1;
  for (let result = destroy(); result !== 0; result = destroy()) {
    expect(result).toBe(-XEN_ERESTART);
    calls++;
  }
  expect(calls).toBeGreaterThan(TABLES / 5);
  expect(hv.domains.has(1 as never)).toBe(false);
});

it("ends once: what was registered is given up with the rest, and a frame in use elsewhere keeps only the name", () => {
  const free = hv.frames.freeFrames;
  const a = new BareDomain(hv, 1);
  a.view.setBigUint64(0, BigInt(a.data + 3), true);
  expect(a.call(__HYPERVISOR_vcpu_op, VCPUOP_register_vcpu_info, 0, FLAT)).toBe(0);
  const entry = hv.mm.findL1(dom0.vcpu, (FLAT + 200 * 4096) as Va);
  expect(hv.mm.setEntry(1, entry, (a.data + 9) * 4096 + 5, 0, 1 as DomId)).toBe(0);
  hv.current = dom0.vcpu;
  const port = dom0.domain.events.bindVirq(VIRQ_DOM_EXC, 0) as Port;
  expect(destroy()).toBe(0);
  expect([hv.events.isPending(dom0.domain, port), hv.frames.freeFrames]).toEqual([true, free - 3]); // And what is its own: shared_info, grants.
  hv.events.clearPending(dom0.domain, port);
  expect(destroy()).toBe(0);
  expect(hv.events.isPending(dom0.domain, port)).toBe(false);
  hv.mm.setEntry(1, entry, 0, 0, 0 as DomId);
  expect([hv.domains.has(1 as never), hv.frames.freeFrames]).toEqual([false, free]);
});

it("a crash tells of the vcpu that runs, if it is the domain's, and in which mode", () => {
  const a = new BareDomain(hv, 1);
  const told = (): string => {
    const from = hv.log.end;
    reportState(hv, a.domain, "why");
    return hv.log.read(from, hv.log.end - from);
  };
  hv.current = dom0.vcpu;
  expect(told()).toBe("(XEN) Domain 1 crashed: why\n");
  hv.current = a.vcpu;
  a.vcpu.kernelMode = true;
  a.vcpu.cpu.setNum(Reg.RDI, 7);
  a.vcpu.cpu.setNum(Reg.R8, 8);
  a.vcpu.cpu.setNum(Reg.R9, 9);
  a.vcpu.cpu.setNum(Reg.R10, 10);
  expect(told()).toMatch(/\(vcpu#0\) crashed: why\n.*CONTEXT: pv guest \(d1v0\), kernel mode\n/s);
  const hex = (n: number): string => n.toString(16).padStart(16, "0");
  for (const part of [`rdi: ${hex(7)}`, ` r8: ${hex(8)}`, ` r9: ${hex(9)}`, `r10: ${hex(10)}`])
    expect(told()).toContain(part);
  a.vcpu.kernelMode = false;
  expect(told()).toContain("user mode");
});
