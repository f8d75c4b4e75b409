// xl destroy, shutdown, reboot, pause, unpause: what is done to domains. Shutdown and reboot ask the guest by xenstore's
// control/shutdown, so that one that doesn't listen goes on; what follows from an end is the toolstack's to do. Called by the shell,
// as all commands.

import type { Task } from "../../guests/sdk/index.ts";
import type { DomId } from "../../shared/brand.ts";
import { type Command, CommandError, type XlContext } from "./context.ts";
import { findGuest } from "./domains.ts";
import { expectWords, parseArguments } from "./options.ts";

export const destroy: Command = {
  name: "destroy",
  usage: "<Domain>",
  summary: "Terminate a domain immediately",
  completes: "domain",
  *run(context, args) {
    const [name] = expectWords("xl destroy", destroy.usage, parseArguments("xl destroy", args, {}).words, 1);
    yield* context.toolstack.destroy(findGuest(context, name, "destroyed"));
    return 0;
  },
};

export const pause: Command = {
  name: "pause",
  usage: "<Domain>",
  summary: "Pause execution of a domain",
  completes: "domain",
  *run(context, args) {
    const [name] = expectWords("xl pause", pause.usage, parseArguments("xl pause", args, {}).words, 1);
    const domid = findGuest(context, name, "paused");
    if (!context.toolstack.xc.domainInfo(domid)?.paused) context.toolstack.xc.pauseDomain(domid);
    yield* [];
    return 0;
  },
};

export const unpause: Command = {
  name: "unpause",
  usage: "<Domain>",
  summary: "Unpause a paused domain",
  completes: "domain",
  *run(context, args) {
    const [name] = expectWords("xl unpause", unpause.usage, parseArguments("xl unpause", args, {}).words, 1);
    const domid = findGuest(context, name, "unpaused");
    if (context.toolstack.xc.domainInfo(domid)?.paused) context.toolstack.unpause(domid);
    yield* [];
    return 0;
  },
};

const ENDING = {
  all: { letter: "a", long: "all" },
  wait: { letter: "w", long: "wait" },
  fallback: { letter: "F" },
} as const;

export const shutdown: Command = {
  name: "shutdown",
  usage: "[options] <-a|Domain>",
  summary: "Issue a shutdown signal to a domain",
  options: [
    "-a, --all               Shutdown all guest domains.",
    "-w, --wait              Wait for guest(s) to shutdown.",
  ],
  completes: "domain",
  run: (context, args) => ask(context, args, "shutdown", "poweroff", "Shutting down"),
};

export const reboot: Command = {
  name: "reboot",
  usage: "[options] <-a|Domain>",
  summary: "Issue a reboot signal to a domain",
  options: [
    "-a, --all               Reboot all guest domains.",
    "-w, --wait              Wait for guest(s) to reboot.",
  ],
  completes: "domain",
  run: (context, args) => ask(context, args, "reboot", "reboot", "Rebooting"),
};

/** Asks guests to end, and with -w waits until they have, and all that follows from it has happened. */
function* ask(
  context: XlContext,
  args: readonly string[],
  what: "shutdown" | "reboot",
  reason: "poweroff" | "reboot",
  doing: string,
): Task<number> {
  const { words, has } = parseArguments(`xl ${what}`, args, ENDING);
  const { toolstack, io } = context;
  if (words.length === 0 && !has("all")) throw new CommandError("You must specify -a or a domain id.");
  const domids: DomId[] = has("all")
    ? toolstack.all.map((m) => m.domid)
    : words.map((word) => findGuest(context, word, what === "shutdown" ? "shut down" : "rebooted"));
  const asked = domids.flatMap((domid) => toolstack.managed(domid) ?? []);
  for (const { domid } of asked) {
    yield* io.write(`${doing} domain ${domid}\n`);
    toolstack.requestShutdown(domid, reason);
  }
  if (!has("wait")) return 0;
  yield* io.write(`Waiting for ${asked.length} domains\n`);
  for (const managed of asked) {
    yield* toolstack.changed.until(() => managed.settled);
    const { domid, shutdownReason } = managed;
    const how = shutdownReason === undefined ? "destroyed" : `shut down, reason code ${shutdownReason}`;
    yield* io.write(`Domain ${domid} has been ${how}\n`);
  }
  return 0;
}
