// Guests that abuse dom0's daemons: the daemons keep their bounds, the others run on, and nothing is left afterwards.

import { expect, it } from "vitest";
import type { DomId } from "../../shared/brand.ts";
import { GUEST_FILES, Session } from "./session.ts";

const guest = (name: string): string[] => [`tests/guests/${name}/${name}.cfg`, `tests/guests/${name}/${name}.elf`];

it("a guest that floods its console is left by Ctrl-] and given up by --expect, and a neighbour runs on", () => {
  const session = new Session({ terminal: true, files: [...GUEST_FILES, ...guest("flood")] });
  session.waitFor("dom0# ");
  session.type("xl create -q -c tests/guests/flood/flood.cfg\r");
  session.waitFor("flood: 100 ");
  session.type("\x1d");
  session.waitFor("\n\rdom0# ");
  session.type("xl console flood --expect never --timeout 0.05\r");
  session.waitFor("xl console: /never/ did not appear within 0.05 s");
  session.type("xl create -q -c tests/guests/ticker/ticker.cfg\r");
  session.waitFor("ticker: 3");
  session.type("\x1d");
  session.waitFor("\n\rdom0# ");
  session.type("xl destroy flood\rxl list\r");
  expect(session.waitFor("ticker  ")).not.toContain("\nflood");
  session.type("exit\r");
  expect(session.end()).toBe(0);
});

it("what is in the store and in the log moves no cursor", () => {
  const session = new Session({ files: [] });
  const raw = '\x1b]0;x\x07\u009b2J\\"\r\n';
  session.type(`xenstore-write /a 'a\\x1b]0;x\\x07\\xc2\\x9b2J\\\\"\\r\\n\\t\\377\\1z'\n`);
  const shown = 'a\\x1b]0;x\\007\\xc2\\x9b2J\\\\"\\r\\n\\t\\xff\\001z';
  session.type("xenstore-read /a\nxenstore-ls -f /\nxl domname 0\n");
  const out = session.waitFor("Domain-0\n");
  expect(out).toContain(`${shown}\n`);
  session.type("xl domname 0\nxl domname 0\n");
  expect(session.output).toContain(`/a = "${shown}"\n`);
  session.type("xenstore-read -R /a\nxl domname 0\n");
  session.waitFor(raw);
  // Dom0 may write anything to the hypervisor's log; what it writes may be a guest's words.
  session.machine.log.raw("one\n\x1b[2J\ttwo\u009b\r\n");
  session.type("xl dmesg\nxl domname 0\n");
  session.waitFor("one\n\\x1b[2J\ttwo\ufffd\\r\n");
  expect(session.end()).toBe(0);
});

it("a guest that abuses xenstored and the console daemon gets errors, and only that", () => {
  const session = new Session({ files: [...GUEST_FILES, ...guest("xsabuse")] });
  const run = (line: string): string => {
    session.type(`${line}\nxl domname 0\n`);
    return session.waitFor("Domain-0\n", 5_000_000).slice(0, -"Domain-0\n".length);
  };
  const state = () => ({
    frames: session.machine.hv.frames.freeFrames,
    ports: session.machine.hv.domains.get(0 as DomId)!.events.active,
    problems: session.machine.checker(),
    store: run("xenstore-ls -f -p"),
  });
  run("xl create -q tests/guests/ticker/ticker.cfg");
  run("xl create -q -p guests/hello/hello.cfg"); // What a second guest leaves for good.
  run("xl destroy hello");
  const before = state();
  run("xl create -q tests/guests/xsabuse/xsabuse.cfg");
  const lines = run("xl console xsabuse --expect 'index: error.*' --timeout 60").trimEnd().split("\n");
  expect(lines).toEqual([
    // A domain has some nodes of its own from the toolstack: control/shutdown and its like.
    expect.stringMatching(/^xsabuse: nodes: 98\d accepted, 2[12]\d refused$/),
    "xsabuse: watches: 128 accepted, 72 refused",
    "xsabuse: transactions: 10 accepted, 10 refused",
    expect.stringMatching(/^xsabuse: nonsense: \d+ accepted, \d+ refused$/),
    "xsabuse: too long: error 3",
    "xsabuse: reconnected",
    "xsabuse: again: 1 accepted, 0 refused",
    "xsabuse: index: error 2",
  ]);
  expect(run("xl console ticker --expect 'ticker: 9$'")).toContain("ticker: 9");
  expect(run("xenstore-read /local/domain/1/name")).toBe("ticker\n");
  expect(run("xl create -q -c guests/hello/hello.cfg")).toContain("hello: good bye");
  run("xl destroy xsabuse");
  expect(state()).toEqual(before);
  run("xl destroy ticker");
  expect(session.end()).toBe(0);
});
