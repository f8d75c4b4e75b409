// The hypercall table (STYLE 15): number, name, number of arguments, handler. Dispatch, traces, docs/SUPPORT.md's check and
// the coverage of hypercalls come from it. A gap answers -ENOSYS. Numbers: public/xen.h.

import type { Handler } from "./args.ts";
import { callbackOp, setCallbacks, setTrapTable, stackSwitch } from "./callbacks.ts";
import { consoleIo } from "./console_io.ts";
import { setGdt, updateDescriptor } from "./descriptors.ts";
import { domctl } from "./domctl.ts";
import { eventChannelOp, eventChannelOpCompat } from "./event_channel_op.ts";
import { grantTableOp } from "./grant_table_op.ts";
import { memoryOp } from "./memory_op.ts";
import { fpuTaskswitch, getDebugreg, iretCall, nmiOp, setDebugreg, setSegmentBase, vmAssist } from "./misc.ts";
import { mmuUpdate } from "./mmu_update.ts";
import { mmuextOp } from "./mmuext_op.ts";
import { multicall } from "./multicall.ts";
import { physdevOp } from "./physdev_op.ts";
import { schedOp, schedOpCompat } from "./sched_op.ts";
import { sysctl } from "./sysctl.ts";
import { updateVaMapping, updateVaMappingOtherdomain } from "./update_va_mapping.ts";
import { setTimerOp, vcpuOp } from "./vcpu_op.ts";
import { xenVersion } from "./xen_version.ts";

export interface Hypercall {
  readonly nr: number;
  readonly name: string;
  readonly args: number;
  readonly handler: Handler;
}

// biome-ignore format: one aligned table
const TABLE: readonly (readonly [number, string, number, Handler])[] = [
  [ 0, "set_trap_table",                 1, setTrapTable],
  [ 1, "mmu_update",                     4, mmuUpdate],
  [ 2, "set_gdt",                        2, setGdt],
  [ 3, "stack_switch",                   2, stackSwitch],
  [ 4, "set_callbacks",                  3, setCallbacks],
  [ 5, "fpu_taskswitch",                 1, fpuTaskswitch],
  [ 6, "sched_op_compat",                2, schedOpCompat],
  [ 8, "set_debugreg",                   2, setDebugreg],
  [ 9, "get_debugreg",                   1, getDebugreg],
  [10, "update_descriptor",              2, updateDescriptor],
  [12, "memory_op",                      2, memoryOp],
  [13, "multicall",                      2, multicall],
  [14, "update_va_mapping",              3, updateVaMapping],
  [15, "set_timer_op",                   1, setTimerOp],
  [16, "event_channel_op_compat",        1, eventChannelOpCompat],
  [17, "xen_version",                    2, xenVersion],
  [18, "console_io",                     3, consoleIo],
  [20, "grant_table_op",                 3, grantTableOp],
  [21, "vm_assist",                      2, vmAssist],
  [22, "update_va_mapping_otherdomain",  4, updateVaMappingOtherdomain],
  [23, "iret",                           0, iretCall],
  [24, "vcpu_op",                        3, vcpuOp],
  [25, "set_segment_base",               2, setSegmentBase],
  [26, "mmuext_op",                      4, mmuextOp],
  [28, "nmi_op",                         2, nmiOp],
  [29, "sched_op",                       2, schedOp],
  [30, "callback_op",                    2, callbackOp],
  [32, "event_channel_op",               2, eventChannelOp],
  [33, "physdev_op",                     2, physdevOp],
  [35, "sysctl",                         1, sysctl],
  [36, "domctl",                         1, domctl],
];

/** Numbers that the hypercall page has entries for. */
export const NR_HYPERCALLS = 64;

/** The table by number. */
export function hypercallTable(): readonly (Hypercall | undefined)[] {
  const table: (Hypercall | undefined)[] = new Array(NR_HYPERCALLS).fill(undefined);
  for (const [nr, name, args, handler] of TABLE) table[nr] = { nr, name, args, handler };
  return table;
}
