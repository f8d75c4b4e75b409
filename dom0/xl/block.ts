// xl block-attach, block-list, block-detach: disks of a guest that runs, as xl-disk-configuration(5) writes them. The work is the
// toolstack's (disks.ts); here are the words, the tables and the exit status of the real xl. Called by the shell, as all commands.

import { DiskSyntaxError, deviceNumber, parseDisk } from "../toolstack/config/disk.ts";
import { type Command, CommandError } from "./context.ts";
import { findGuest } from "./domains.ts";
import { expectWords, parseArguments } from "./options.ts";
import { blockTable } from "./tables.ts";

export const blockAttach: Command = {
  name: "block-attach",
  usage: "<Domain> <disk-spec-component(s)>...",
  summary: "Create a new virtual block device",
  completes: "domain",
  *run(context, args) {
    const { words } = parseArguments("xl block-attach", args, {});
    const [name, ...parts] = expectWords("xl block-attach", blockAttach.usage, words, 2, Infinity);
    const domid = findGuest(context, name, "given a disk");
    let disk: ReturnType<typeof parseDisk>;
    try {
      disk = parseDisk(parts.join(","));
    } catch (error) {
      if (!(error instanceof DiskSyntaxError)) throw error;
      throw new CommandError(`xl block-attach: ${error.message}`);
    }
    yield* context.toolstack.attachDisk(domid, disk);
    return 0;
  },
};

export const blockList: Command = {
  name: "block-list",
  usage: "<Domain(s)>",
  summary: "List virtual block devices for a domain",
  completes: "domain",
  *run(context, args) {
    const { words } = parseArguments("xl block-list", args, {});
    const names = expectWords("xl block-list", blockList.usage, words, 1, Infinity);
    const rows = names.flatMap((name) => {
      const domid = findGuest(context, name, "asked for disks");
      return context.toolstack.disks.list(domid).map((disk) => ({ ...disk, domid }));
    });
    yield* context.io.write(blockTable(rows));
    return 0;
  },
};

export const blockDetach: Command = {
  name: "block-detach",
  usage: "[option] <Domain> <DevId>",
  summary: "Destroy a domain's virtual block device",
  options: ["-f, --force             Take it away without asking the guest."],
  completes: "domain",
  *run(context, args) {
    const { words, has } = parseArguments("xl block-detach", args, { force: { letter: "f", long: "force" } });
    const [name, device] = expectWords("xl block-detach", blockDetach.usage, words, 2);
    const domid = findGuest(context, name, "deprived of a disk");
    const devid = deviceNumber(device);
    if (devid === undefined || !context.toolstack.disks.has(domid, devid))
      throw new CommandError(`Error: Device ${device} not connected.`);
    if (!(yield* context.toolstack.disks.detach(domid, devid, has("force"))))
      throw new CommandError(`xl block-detach: domain ${domid} does not let go of ${device}; -f takes it away`);
    return 0;
  },
};
