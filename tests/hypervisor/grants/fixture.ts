// Two domains, one of which grants and the other maps, on the memory half alone: what the tests of this folder begin with. `f`, `a`
// and `b` are made anew for each test of a file that calls `granterAndMapper`; the walker must find nothing after each.

import { afterEach, beforeEach, expect } from "vitest";
import { grantTableOp } from "../../../hypervisor/hypercalls/grant_table_op.ts";
import { FRAME_SIZE } from "../../../hypervisor/machine/memory.ts";
import {
  GNTMAP_host_map,
  GNTTABOP_map_grant_ref,
  GNTTABOP_unmap_grant_ref,
  GnttabMapGrantRef,
  GnttabUnmapGrantRef,
  GTF_permit_access,
} from "../../../shared/abi/grant_table.ts";
import { Fixture, type Guest } from "../memory/fixture.ts";

/** Where `a` maps things: entry 200 of its level-1 table. */
export const SLOT = 200;
export const AT = SLOT * FRAME_SIZE;

export let f: Fixture;
/** The mapper, domain 1. */
export let a: Guest;
/** The granter, domain 2. */
export let b: Guest;

/** Makes the two for each test of the file. */
export function granterAndMapper(): void {
  beforeEach(() => {
    f = new Fixture();
    a = f.guest(1);
    b = f.guest(2);
    a.domain.grants.grow(1);
    b.domain.grants.grow(1);
  });
  afterEach(() => f.clean());
}

/** Writes a grant entry as its domain would. */
export function grant(g: Guest, ref: number, user: number, mfn: number, flags = GTF_permit_access): void {
  const at = g.domain.grants.frames[0] * FRAME_SIZE + ref * 8;
  f.memory.view.setUint16(at + 2, user, true);
  f.memory.view.setUint32(at + 4, mfn, true);
  f.memory.view.setUint16(at, flags, true);
}
/** The flags that are in it now. */
export function flagsOf(g: Guest, ref: number): number {
  return f.memory.view.getUint16(g.domain.grants.frames[0] * FRAME_SIZE + ref * 8, true);
}

export interface Mapped {
  status: number;
  handle: number;
  bus: number;
}

/** `g` maps what `dom` granted. */
export function map(
  g: Guest,
  dom: number,
  ref: number,
  flags: number = GNTMAP_host_map,
  addr: number | bigint = AT,
): Mapped {
  const { view, va } = f.arg(g);
  const op = GnttabMapGrantRef.at(view);
  op.host_addr = BigInt(addr);
  op.flags = flags;
  op.ref = ref;
  op.dom = dom;
  op.handle = 0xffffffff;
  expect(f.call(g, grantTableOp, GNTTABOP_map_grant_ref, va, 1)).toBe(0);
  return { status: op.status, handle: op.handle, bus: op.dev_bus_addr_num };
}

/** `g` gives back what it mapped; the status. */
export function unmap(g: Guest, handle: number, addr: number | bigint = AT, bus = 0): number {
  const { view, va } = f.arg(g);
  const op = GnttabUnmapGrantRef.at(view);
  op.host_addr = BigInt(addr);
  op.dev_bus_addr_num = bus;
  op.handle = handle;
  expect(f.call(g, grantTableOp, GNTTABOP_unmap_grant_ref, va, 1)).toBe(0);
  return op.status;
}
