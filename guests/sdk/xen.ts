// The hypercalls as methods: arguments are put into the arena, errors are thrown as XenError. Everything in the SDK goes
// through here. `hypercall` is the bare call for what has no method.

import { XEN_DOMCTL_INTERFACE_VERSION, XenDomctl } from "../../shared/abi/domctl.ts";
import * as errno from "../../shared/abi/errno.ts";
import { SCHEDOP_block, SCHEDOP_shutdown, SCHEDOP_yield, SchedShutdown } from "../../shared/abi/sched.ts";
import type { Accessor, Fields, Struct } from "../../shared/abi/struct.ts";
import { XEN_SYSCTL_INTERFACE_VERSION, XenSysctl } from "../../shared/abi/sysctl.ts";
import {
  __HYPERVISOR_console_io,
  __HYPERVISOR_domctl,
  __HYPERVISOR_event_channel_op,
  __HYPERVISOR_grant_table_op,
  __HYPERVISOR_memory_op,
  __HYPERVISOR_mmu_update,
  __HYPERVISOR_mmuext_op,
  __HYPERVISOR_physdev_op,
  __HYPERVISOR_sched_op,
  __HYPERVISOR_set_callbacks,
  __HYPERVISOR_set_timer_op,
  __HYPERVISOR_sysctl,
  __HYPERVISOR_update_va_mapping,
  __HYPERVISOR_vcpu_op,
  __HYPERVISOR_vm_assist,
  __HYPERVISOR_xen_version,
  CONSOLEIO_read,
  CONSOLEIO_write,
  DOMID_SELF,
  MmuextOp,
  MmuUpdate,
} from "../../shared/abi/xen.ts";
import type { DomId, Va } from "../../shared/brand.ts";
import type { KernelCpu } from "../../shared/kernel.ts";
import type { Arena } from "./arena.ts";

/** A hypercall that failed. `errno` is positive, `code` its name without XEN_: "ENOMEM". */
export class XenError extends Error {
  override readonly name = "XenError";
  readonly errno: number;
  readonly code: string;
  constructor(call: string, result: number) {
    const code = errnoName(-result);
    super(`${call}: ${code}`);
    this.errno = -result;
    this.code = code;
  }
}

const NAMES = new Map<number, string>();
for (const [name, value] of Object.entries(errno)) if (!NAMES.has(value)) NAMES.set(value, name.slice(4));

/** "ENOMEM" for 12; "errno 200" for a number without a name. */
export function errnoName(value: number): string {
  return NAMES.get(value) ?? `errno ${value}`;
}

/** One entry of mmu_update: `ptr` with its MMU_ command in bits 0 and 1. Both below 2^53. */
export interface MmuUpdateEntry {
  readonly ptr: number;
  readonly val: number;
}

/** Where the union `u` begins in struct xen_domctl and struct xen_sysctl. */
const DOMCTL_U = 16;
const SYSCTL_U = 8;

export class Xen {
  readonly #cpu: KernelCpu;
  /** For arguments: `xen.arena.use((a) => ...)`. */
  readonly arena: Arena;

  constructor(cpu: KernelCpu, arena: Arena) {
    this.#cpu = cpu;
    this.arena = arena;
  }

  /** The bare call: >= 0, or a negative errno. */
  hypercall(nr: number, ...args: number[]): number {
    return this.#cpu.hypercall(nr, ...args);
  }

  /** The call, its error thrown: `name` says in the error which it was. */
  call(name: string, nr: number, ...args: number[]): number {
    const result = this.#cpu.hypercall(nr, ...args);
    if (result < 0) throw new XenError(name, result);
    return result;
  }

  /**
   * `HYPERVISOR_x_op(cmd, &struct)`: allocates the structure, lets `fill` set it, calls, and returns what `read` makes of it.
   * For event_channel_op, memory_op, physdev_op, xen_version, sched_op.
   */
  op<F extends Fields, T>(
    name: string,
    nr: number,
    cmd: number,
    type: Struct<F>,
    fill: (s: Accessor<F>) => void,
    read: (s: Accessor<F>, result: number) => T,
  ): T {
    return this.arena.use((a) => {
      const s = a.struct(type);
      fill(s.at);
      return read(s.at, this.call(name, nr, cmd, s.va));
    });
  }

  eventChannelOp<F extends Fields, T>(
    cmd: number,
    type: Struct<F>,
    fill: (s: Accessor<F>) => void,
    read: (s: Accessor<F>, result: number) => T,
  ): T {
    return this.op(type.name, __HYPERVISOR_event_channel_op, cmd, type, fill, read);
  }

  memoryOp<F extends Fields, T>(
    cmd: number,
    type: Struct<F>,
    fill: (s: Accessor<F>) => void,
    read: (s: Accessor<F>, result: number) => T,
  ): T {
    return this.op(type.name, __HYPERVISOR_memory_op, cmd, type, fill, read);
  }

  physdevOp<F extends Fields, T>(
    cmd: number,
    type: Struct<F>,
    fill: (s: Accessor<F>) => void,
    read: (s: Accessor<F>, result: number) => T,
  ): T {
    return this.op(type.name, __HYPERVISOR_physdev_op, cmd, type, fill, read);
  }

  /** One grant table operation on one structure. Its own `status` (GNTST_) is for the caller to look at. */
  grantTableOp<F extends Fields, T>(
    cmd: number,
    type: Struct<F>,
    fill: (s: Accessor<F>) => void,
    read: (s: Accessor<F>, result: number) => T,
  ): T {
    return this.arena.use((a) => {
      const s = a.struct(type);
      fill(s.at);
      return read(s.at, this.call(type.name, __HYPERVISOR_grant_table_op, cmd, s.va, 1));
    });
  }

  vcpuOp(cmd: number, vcpu: number, argument: Va | 0): number {
    return this.call(`vcpu_op ${cmd}`, __HYPERVISOR_vcpu_op, cmd, vcpu, argument);
  }

  xenVersion(cmd: number, argument: Va | 0 = 0): number {
    return this.call(`xen_version ${cmd}`, __HYPERVISOR_xen_version, cmd, argument);
  }

  vmAssist(cmd: number, type: number): number {
    return this.call("vm_assist", __HYPERVISOR_vm_assist, cmd, type);
  }

  /**
   * domctl `cmd` on `domain`. `fill` sets the union (its DataView begins at `u`), `read` sees the whole afterwards: the
   * domain id as Xen may have changed it, and the union. Throws XenError.
   */
  domctl<T = void>(
    cmd: number,
    domain: DomId,
    fill?: (u: DataView) => void,
    read?: (u: DataView, domain: DomId, result: number) => T,
  ): T {
    return this.arena.use((a) => {
      const buffer = a.alloc(XenDomctl.size);
      buffer.view.setUint32(0, cmd, true);
      buffer.view.setUint32(4, XEN_DOMCTL_INTERFACE_VERSION, true);
      buffer.view.setUint16(8, domain, true);
      const u = new DataView(buffer.bytes.buffer, buffer.bytes.byteOffset + DOMCTL_U, XenDomctl.size - DOMCTL_U);
      fill?.(u);
      const result = this.call(`domctl ${cmd}`, __HYPERVISOR_domctl, buffer.va);
      return read?.(u, buffer.view.getUint16(8, true) as DomId, result) as T;
    });
  }

  /** sysctl `cmd`: as domctl. */
  sysctl<T = void>(cmd: number, fill?: (u: DataView) => void, read?: (u: DataView, result: number) => T): T {
    return this.arena.use((a) => {
      const buffer = a.alloc(XenSysctl.size);
      buffer.view.setUint32(0, cmd, true);
      buffer.view.setUint32(4, XEN_SYSCTL_INTERFACE_VERSION, true);
      const u = new DataView(buffer.bytes.buffer, buffer.bytes.byteOffset + SYSCTL_U, XenSysctl.size - SYSCTL_U);
      fill?.(u);
      const result = this.call(`sysctl ${cmd}`, __HYPERVISOR_sysctl, buffer.va);
      return read?.(u, result) as T;
    });
  }

  /** Up to 2048 page-table updates on behalf of `domain` (whose frames are mapped). Returns how many were done. */
  mmuUpdate(entries: readonly MmuUpdateEntry[], domain: DomId = DOMID_SELF as DomId): { result: number; done: number } {
    return this.arena.use((a) => {
      const list = a.alloc(entries.length * MmuUpdate.size);
      const done = a.alloc(4);
      for (let i = 0; i < entries.length; i++) {
        const { ptr, val } = entries[i];
        list.view.setUint32(i * 16, ptr >>> 0, true);
        list.view.setUint32(i * 16 + 4, Math.floor(ptr / 4294967296), true);
        list.view.setUint32(i * 16 + 8, val >>> 0, true);
        list.view.setUint32(i * 16 + 12, Math.floor(val / 4294967296), true);
      }
      const result = this.hypercall(__HYPERVISOR_mmu_update, list.va, entries.length, done.va, domain);
      return { result, done: done.view.getUint32(0, true) };
    });
  }

  /** update_va_mapping of the kernel's own page. `val` is the L1 entry, flags are UVMF_. */
  updateVaMapping(va: Va, val: number, flags: number): void {
    this.call("update_va_mapping", __HYPERVISOR_update_va_mapping, va, val, flags);
  }

  /** One mmuext_op. */
  mmuextOp(fill: (op: Accessor<typeof MmuextOp.fields>) => void, domain: DomId = DOMID_SELF as DomId): void {
    this.arena.use((a) => {
      const op = a.struct(MmuextOp);
      fill(op.at);
      this.call(`mmuext_op ${op.at.cmd}`, __HYPERVISOR_mmuext_op, op.va, 1, 0, domain);
    });
  }

  setCallbacks(event: Va, failsafe: Va, syscall: Va | 0): void {
    this.call("set_callbacks", __HYPERVISOR_set_callbacks, event, failsafe, syscall);
  }

  /** VIRQ_TIMER at system time `atNs`; 0 stops it. */
  setTimer(atNs: number): void {
    this.call("set_timer_op", __HYPERVISOR_set_timer_op, atNs);
  }

  /** The kernel must yield at once after this. */
  block(): void {
    this.call("sched_op block", __HYPERVISOR_sched_op, SCHEDOP_block, 0);
  }

  /** The kernel must yield at once after this. */
  yield(): void {
    this.call("sched_op yield", __HYPERVISOR_sched_op, SCHEDOP_yield, 0);
  }

  /** The kernel must yield at once after this, and never runs again. `reason` is a SHUTDOWN_. */
  shutdown(reason: number): void {
    this.op(
      "sched_op shutdown",
      __HYPERVISOR_sched_op,
      SCHEDOP_shutdown,
      SchedShutdown,
      (s) => {
        s.reason = reason;
      },
      () => 0,
    );
  }

  /** Writes to the hypervisor's console (for dom0: its log). Long text goes in pieces. */
  consoleWrite(text: string): void {
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length; at += 4096) {
      this.arena.use((a) => {
        const piece = bytes.subarray(at, at + 4096);
        const buffer = a.alloc(piece.length);
        buffer.bytes.set(piece);
        this.call("console_io write", __HYPERVISOR_console_io, CONSOLEIO_write, piece.length, buffer.va);
      });
    }
  }

  /** Reads typed bytes of the hypervisor's console, as far as it has one. */
  consoleRead(limitBytes: number): Uint8Array {
    return this.arena.use((a) => {
      const buffer = a.alloc(limitBytes);
      const n = this.call("console_io read", __HYPERVISOR_console_io, CONSOLEIO_read, limitBytes, buffer.va);
      return buffer.bytes.slice(0, n);
    });
  }
}
