// The end of a domain that made itself costly to end: done in small pieces, between which others run, whoever asked for it.

import { beforeEach, expect, it } from "vitest";
import type { Hypervisor } from "../../hypervisor/hypervisor.ts";
import { PageType } from "../../hypervisor/memory/frame_table.ts";
import { XEN_DOMCTL_destroydomain, XEN_DOMCTL_INTERFACE_VERSION, XenDomctl } from "../../shared/abi/domctl.ts";
import { XEN_ERESTART } from "../../shared/abi/errno.ts";
import { __HYPERVISOR_domctl } from "../../shared/abi/xen.ts";
import type { Mfn } from "../../shared/brand.ts";
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
