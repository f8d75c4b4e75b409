// xl channel-list: the channels of guests (channel= of xl.cfg), in the real xl's form. Channels come and go with their domain, so
// nothing attaches or detaches one. Called by the shell, as all commands.

import type { ChannelRow } from "../toolstack/channels.ts";
import type { Command } from "./context.ts";
import { findGuest } from "./domains.ts";
import { expectWords, parseArguments } from "./options.ts";

export const channelList: Command = {
  name: "channel-list",
  usage: "<Domain(s)>",
  summary: "List virtual channel devices for a domain",
  completes: "domain",
  *run(context, args) {
    const { words } = parseArguments("xl channel-list", args, {});
    const names = expectWords("xl channel-list", channelList.usage, words, 1, Infinity);
    const { channels } = context.toolstack;
    const rows = names.flatMap((name) => channels.list(findGuest(context, name, "asked for channels")));
    yield* context.io.write(channelTable(rows));
    return 0;
  },
};

/** The head of the ring's grant stands right, its numbers left, as in the real one. */
export function channelTable(rows: readonly ChannelRow[]): string {
  const cell = (value: number | string, width: number): string => String(value).padEnd(width);
  const head = `Idx BE state evt-ch ring-ref connection ${"".padEnd(30)}\n`;
  const line = (r: ChannelRow): string =>
    `${cell(r.devid, 3)} ${cell(0, 2)} ${cell(r.state, 5)} ${cell(r.eventChannel, 6)} ${cell(r.ringRef, 8)} ${cell(r.connection, 10)} \n`;
  return head + rows.map(line).join("");
}
