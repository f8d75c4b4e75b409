// The xenstore commands by what they print and leave behind.

import { expect, it } from "vitest";
import { Session, script } from "../../system/session.ts";

const run = (...lines: string[]): string => script(lines, { files: [] }).output;

it("chmod sets permissions of a path, of those below, of those above", () => {
  const out = run(
    "xenstore-write /a/b/c 1 /a/b/d 2",
    "xenstore-chmod /a/b n0 r3",
    "xenstore-chmod -r /a/b/c b1",
    "xenstore-chmod -u /a/b/d w2",
    "xenstore-chmod -r /a/b r4 n5",
    "xenstore-ls -f -p /a",
  );
  expect(out).toBe('/a/b = ""   (r4,n5)\n/a/b/c = "1"   (r4,n5)\n/a/b/d = "2"   (r4,n5)\n');
  expect(run("xenstore-write /a/b 1", "xenstore-chmod -u /a/b w2", "xenstore-ls -f -p / ")).toMatch(
    /\/a = "" {3}\(w2\)\n\/a\/b = "1" {3}\(w2\)\n$/,
  );
});

it("rm -t takes away what is empty then above, and no more; list -p prints paths", () => {
  expect(
    run("xenstore-write /a/b/c/d 1 /a/x 2", "xenstore-rm -t /a/b/c/d", "xenstore-list -p /a", "xenstore-exists /a/b"),
  ).toBe("/a/x\n");
});

it("watch prints what changes, and leaves no watch", () => {
  const session = new Session({ files: [], terminal: true });
  session.type("xenstore-watch -n 2 /tool @releaseDomain\r");
  session.waitFor("/tool\n@releaseDomain\n");
  session.type("xenstore-watch /tool\r");
  session.waitFor("/tool\n");
  session.type("\x03xenstore-write /tool/a 1\r");
  session.waitFor("^C");
  expect(session.waitFor("dom0# ")).not.toContain("/tool/a\n");
  session.type("exit\r");
  expect(session.end()).toBe(0);
});
