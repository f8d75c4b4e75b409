// Names of what hypercalls say by number, for traces: sub-operations and error numbers, taken from the constants of
// shared/abi/ by their prefixes, so that there is no second list.

import * as callback from "../shared/abi/callback.ts";
import * as domctl from "../shared/abi/domctl.ts";
import * as errno from "../shared/abi/errno.ts";
import * as event from "../shared/abi/event_channel.ts";
import * as grant from "../shared/abi/grant_table.ts";
import * as memory from "../shared/abi/memory.ts";
import * as physdev from "../shared/abi/physdev.ts";
import * as sched from "../shared/abi/sched.ts";
import * as sysctl from "../shared/abi/sysctl.ts";
import * as vcpu from "../shared/abi/vcpu.ts";
import * as version from "../shared/abi/version.ts";
import * as xen from "../shared/abi/xen.ts";
import * as script from "../shared/script_image.ts";

/**
 * Number to name of the constants that begin with `prefix`; of several with one number, the first by alphabet. Commands
 * go on in lower case, unlike flags and limits that share the prefix.
 */
function names(module: object, prefix: string, rest = /^[a-z]/): ReadonlyMap<number, string> {
  const map = new Map<number, string>();
  for (const [key, value] of Object.entries(module)) {
    const name = key.slice(prefix.length);
    if (typeof value === "number" && key.startsWith(prefix) && rest.test(name) && !map.has(value)) map.set(value, name);
  }
  return map;
}

/** Of each hypercall whose first argument is a command: its commands. */
const COMMANDS: Readonly<Record<string, ReadonlyMap<number, string>>> = {
  callback_op: names(callback, "CALLBACKOP_"),
  console_io: names(xen, "CONSOLEIO_"),
  event_channel_op: names(event, "EVTCHNOP_"),
  grant_table_op: names(grant, "GNTTABOP_"),
  memory_op: names(memory, "XENMEM_"),
  physdev_op: names(physdev, "PHYSDEVOP_"),
  sched_op: names(sched, "SCHEDOP_"),
  vcpu_op: names(vcpu, "VCPUOP_"),
  vm_assist: names(xen, "VMASST_CMD_"),
  xen_version: names(version, "XENVER_"),
};
/** Of those that keep it in memory, as the first word of their argument (mmuext_op: of the first of a batch). */
const IN_MEMORY: Readonly<Record<string, ReadonlyMap<number, string>>> = {
  domctl: names({ ...domctl, ...script }, "XEN_DOMCTL_"),
  mmuext_op: names(xen, "MMUEXT_", /^[A-Z]/),
  sysctl: names(sysctl, "XEN_SYSCTL_"),
};
const ERRORS = names(errno, "XEN_", /^E/);

/** The command's name, "" when the call has none. `readWord` reads the first word of the argument structure, -1: can't. */
export function commandName(call: string, args: readonly bigint[], readWord: () => number): string {
  const first = Number((args[0] ?? 0n) & 0x3fn);
  if (call in COMMANDS) return COMMANDS[call].get(call === "memory_op" ? first : Number(args[0] & 0xffffffffn)) ?? "?";
  return call in IN_MEMORY ? (IN_MEMORY[call].get(readWord()) ?? "?") : "";
}

/** A result as text: a negative one with the error's name. */
export function resultName(result: number): string {
  const name = result < 0 ? ERRORS.get(-result) : undefined;
  return name === undefined ? String(result) : `${result} ${name}`;
}
