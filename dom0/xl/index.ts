// The commands of xl and the xenstore tools, and how one is run. The shell calls `runCommand`; every failure becomes one
// line and an exit status here.

import { type Task, XenError } from "../../guests/sdk/index.ts";
import { printable } from "../printable.ts";
import { describeError } from "../toolstack/errors.ts";
import { blockAttach, blockDetach, blockList } from "./block.ts";
import { channelList } from "./channel.ts";
import { console } from "./console.ts";
import { type Command, CommandError, type XlContext } from "./context.ts";
import { destroy, pause, reboot, shutdown, unpause } from "./control.ts";
import { create } from "./create.ts";
import { domid, domname, list, rename, uptime, vcpuList, vmList } from "./list.ts";
import { debugKeysCommand, dmesg, info, schedBvt } from "./machine.ts";
import { networkAttach, networkDetach, networkList } from "./network.ts";
import { HelpWanted } from "./options.ts";
import {
  xenstoreChmod,
  xenstoreExists,
  xenstoreList,
  xenstoreLs,
  xenstoreRead,
  xenstoreRm,
  xenstoreWatch,
  xenstoreWrite,
} from "./xenstore.ts";

export type { Command, Io, Keys, XlContext } from "./context.ts";

/** The subcommands of xl, in the order in which help shows them. */
export const XL_COMMANDS: readonly Command[] = [
  create,
  list,
  destroy,
  shutdown,
  reboot,
  pause,
  unpause,
  console,
  vcpuList,
  vmList,
  info,
  dmesg,
  uptime,
  domid,
  domname,
  rename,
  blockAttach,
  blockList,
  blockDetach,
  networkAttach,
  networkList,
  networkDetach,
  channelList,
  schedBvt,
  debugKeysCommand,
];

/** Commands that stand alone. */
export const XENSTORE_COMMANDS: readonly Command[] = [
  xenstoreLs,
  xenstoreRead,
  xenstoreList,
  xenstoreWrite,
  xenstoreRm,
  xenstoreExists,
  xenstoreChmod,
  xenstoreWatch,
];

/** Runs one command; its exit status. What goes wrong is printed as one line. */
export function* runCommand(command: Command, context: XlContext, args: readonly string[]): Task<number> {
  try {
    return yield* command.run(context, args);
  } catch (error) {
    if (!(error instanceof Error)) throw error; // Cancelled, by Ctrl-C.
    if (error instanceof HelpWanted) {
      yield* context.io.write(describeCommand(command));
      return 0;
    }
    if (error instanceof CommandError) {
      yield* context.io.write(`${printable(error.message)}\n`);
      return error.status;
    }
    const line = describeError(error);
    if (line === undefined) {
      context.kernel.log(error.stack ?? error.message);
      yield* context.io.write(`internal error in ${command.name} (see xl dmesg): ${printable(String(error))}\n`);
    } else if (error instanceof XenError) yield* context.io.write(`xl: the hypervisor refused: ${printable(line)}\n`);
    else yield* context.io.write(`${printable(line)}\n`);
    return 1;
  }
}

/** Help for one command. */
export function describeCommand(command: Command): string {
  const prefix = XL_COMMANDS.includes(command) ? "xl " : "";
  const options = (command.options ?? []).map((line) => `  ${line}\n`).join("");
  return `Usage: ${prefix}${command.name} ${command.usage}\n\n${command.summary}.\n${options === "" ? "" : `\nOptions:\n\n${options}`}`;
}
