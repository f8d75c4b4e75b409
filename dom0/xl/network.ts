// xl network-attach, network-list, network-detach: interfaces of a guest that runs, as xl-network-configuration(5) writes them. The work
// is the toolstack's (nics.ts); here are the words, the tables and the exit status of the real xl. Called by the shell.

import { ItemError } from "../toolstack/config/errors.ts";
import { parseVif, type VifConfig } from "../toolstack/config/vif.ts";
import type { NicRow } from "../toolstack/nics.ts";
import { type Command, CommandError } from "./context.ts";
import { findGuest } from "./domains.ts";
import { expectWords, parseArguments } from "./options.ts";

export const networkAttach: Command = {
  name: "network-attach",
  usage: "<Domain> [mac=<mac>] [bridge=<bridge>] [rate=<rate>] [vifname=<name>] [mtu=<mtu>] [pcap=<file>]",
  summary: "Create a new virtual network device",
  completes: "domain",
  *run(context, args) {
    const { words } = parseArguments("xl network-attach", args, {});
    const [name, ...parts] = expectWords("xl network-attach", networkAttach.usage, words, 1, Infinity);
    const domid = findGuest(context, name, "given an interface");
    const warnings: string[] = [];
    let vif: VifConfig;
    try {
      vif = parseVif(parts.join(","), (line) => warnings.push(line));
    } catch (error) {
      if (!(error instanceof ItemError)) throw error;
      throw new CommandError(`xl network-attach: ${error.message}`);
    }
    for (const line of warnings) yield* context.io.write(`${line}\n`);
    yield* context.toolstack.attachNic(domid, vif);
    return 0;
  },
};

export const networkList: Command = {
  name: "network-list",
  usage: "<Domain(s)>",
  summary: "List virtual network interfaces for a domain",
  completes: "domain",
  *run(context, args) {
    const { words } = parseArguments("xl network-list", args, {});
    const names = expectWords("xl network-list", networkList.usage, words, 1, Infinity);
    const rows = names.flatMap((name) => context.toolstack.nics.list(findGuest(context, name, "asked for interfaces")));
    yield* context.io.write(networkTable(rows));
    return 0;
  },
};

export const networkDetach: Command = {
  name: "network-detach",
  usage: "<Domain> <DevId|mac>",
  summary: "Destroy a domain's virtual network device",
  options: ["-f, --force             Take it away without asking the guest."],
  completes: "domain",
  *run(context, args) {
    const { words, has } = parseArguments("xl network-detach", args, { force: { letter: "f", long: "force" } });
    const [name, device] = expectWords("xl network-detach", networkDetach.usage, words, 2);
    const domid = findGuest(context, name, "deprived of an interface");
    const { nics } = context.toolstack;
    const devid = nics.find(domid, device);
    if (devid === undefined) throw new CommandError(`Unknown device ${device}.`);
    if (!(yield* nics.detach(domid, devid, has("force"))))
      throw new CommandError(`xl network-detach: domain ${domid} does not let go of ${device}; -f takes it away`);
    return 0;
  },
};

/** xl network-list: the heads are wider than what stands below them, as in the real one. */
export function networkTable(rows: readonly NicRow[]): string {
  const head = `${"Idx".padEnd(3)} ${"BE".padEnd(2)} ${"Mac Addr.".padEnd(17)} ${"handle".padEnd(6)} ${"state".padEnd(5)} ${"evt-ch".padEnd(6)} ${"tx-".padStart(5)}/${"rx-ring-ref".padEnd(5)} ${"BE-path".padEnd(30)}\n`;
  const cell = (value: number, width: number): string => String(value).padStart(width);
  return (
    head +
    rows
      .map(
        (r) =>
          `${String(r.devid).padEnd(3)} ${"0".padEnd(2)} ${r.mac}${cell(r.devid, 6)} ${cell(r.state, 5)} ${cell(r.eventChannel, 6)} ${cell(r.txRef, 5)}/${String(r.rxRef).padEnd(11)} ${r.backend.padEnd(30)}\n`,
      )
      .join("")
  );
}
