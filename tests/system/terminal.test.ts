// The console of dom0 at a terminal: prompt, editing, completion, a guest's console and the way out of it, Ctrl-C.

import { expect, it } from "vitest";
import { Later } from "../harness/host.ts";
import { GUEST_FILES, Session } from "./session.ts";

/** A fresh prompt, as against one that is drawn again while a line is edited. */
const PROMPT = "\n\rdom0# \x1b[K";

const open = (): Session => {
  const session = new Session({ terminal: true, files: GUEST_FILES });
  session.waitFor(PROMPT);
  return session;
};

it("edits, completes and recalls lines, and ends with exit", () => {
  const session = open();
  session.type("xl domdi\x7f\x7fid Domain-0\r");
  expect(session.waitFor(PROMPT)).toContain("\n0\n");
  session.type("\x1b[A\r");
  expect(session.waitFor(PROMPT)).toContain("\rdom0# xl domid Domain-0");
  session.type("xl create -q -p gu\t");
  session.waitFor("guests/");
  session.type("hel\thello.c\t\r");
  session.waitFor(PROMPT);
  session.type("xl domid h\t\r");
  session.waitFor("xl domid hello ");
  session.waitFor("\n1\n");
  session.type("exit\r");
  expect(session.end()).toBe(0);
});

it("shows a guest's console until Ctrl-], with what is typed going to the guest", () => {
  const session = open();
  session.type("xl create -c -q tests/guests/echo/echo.cfg\r");
  session.waitFor("echo: ready");
  session.type("to the guest\r");
  session.waitFor("echo: to the guest");
  session.type("\x1dxl list echo\r");
  session.waitFor(PROMPT);
  session.waitFor("\necho ");
  session.waitFor(PROMPT);
  session.type("xl console echo\r");
  session.waitFor("\n");
  session.type("quit\r");
  session.waitFor("echo: good bye");
  session.waitFor(PROMPT);
  session.type("\x04");
  expect(session.end()).toBe(0);
});

it("offers no file whose name would move the cursor", () => {
  const session = open();
  session.host.disk.set("zone/a\x1b[2Jb", new Uint8Array(1));
  session.host.disk.set("zone/abc", new Uint8Array(1));
  session.type("xl create zone/a\t");
  session.waitFor("zone/abc ");
  expect(session.output).not.toContain("\x1b[2J");
  session.type("\x03exit\r");
  expect(session.end()).toBe(0);
});

it("undoes a creation that is interrupted, however often Ctrl-C is pressed, and whatever still goes on for it", () => {
  const session = open();
  const { host } = session;
  const config = 'name = "slow"\nkernel = "guests/hello/hello.elf"\nmemory = 8\ndisk = ["slow,raw,xvda,w"]\n';
  host.disk.set("slow.cfg", new TextEncoder().encode(config));
  host.disk.set("slow", new Uint8Array(65536));
  session.type("xl create -q -p guests/hello/hello.cfg\rxl destroy hello\r");
  session.waitFor(PROMPT);
  session.waitFor(PROMPT);
  const before = session.machine.hv.frames.freeFrames;
  const openNow = host.open.bind(host);
  const later = new Later<ReturnType<typeof openNow>>();
  let asked = false;
  host.open = ((path, mode) => {
    asked ||= path === "slow";
    return path === "slow" ? later : openNow(path, mode);
  }) as typeof host.open;
  session.type("xl create -q slow.cfg\r");
  session.machine.runUntil(() => asked, 100_000);
  for (let i = 0; i < 3; i++) {
    session.type("\x03");
    session.machine.runUntil(() => false, 3);
  }
  session.waitFor("^C");
  session.waitFor(PROMPT);
  session.type("xl list\r");
  expect(session.waitFor(PROMPT)).not.toContain("slow");
  later.resolve(openNow("slow", "r+"));
  session.type("xenstore-ls -f /\r");
  expect(session.waitFor(PROMPT)).not.toContain("/2");
  expect(host.openFiles).toBe(0);
  expect(session.machine.hv.frames.freeFrames).toBe(before);
  session.type("exit\r");
  expect(session.end()).toBe(0);
});

it("closes a file that is opened after the command that wanted it was interrupted", () => {
  const session = open();
  const { host } = session;
  host.disk.set("slow.cfg", new Uint8Array(10));
  const openNow = host.open.bind(host);
  const later = new Later<ReturnType<typeof openNow>>();
  let asked = false;
  host.open = () => {
    asked = true;
    return later as unknown as ReturnType<typeof openNow>;
  };
  session.type("xl create slow.cfg\r");
  session.machine.runUntil(() => asked, 100_000);
  session.type("\x03");
  session.waitFor("^C");
  session.waitFor(PROMPT);
  later.resolve(openNow("slow.cfg", "r"));
  expect(host.openFiles).toBe(1);
  session.type("xl domname 0\r");
  session.waitFor("Domain-0");
  expect(host.openFiles).toBe(0);
  session.type("exit\r");
  expect(session.end()).toBe(0);
});

it("takes back a disk whose attaching is interrupted", () => {
  const session = open();
  const { host } = session;
  host.disk.set("slow", new Uint8Array(65536));
  session.type("xl create -q -p guests/hello/hello.cfg\r");
  session.waitFor(PROMPT);
  const openNow = host.open.bind(host);
  const later = new Later<ReturnType<typeof openNow>>();
  let asked = false;
  host.open = ((path, mode) => {
    asked ||= path === "slow";
    return path === "slow" ? later : openNow(path, mode);
  }) as typeof host.open;
  session.type("xl block-attach hello slow,raw,xvda,w\r");
  session.machine.runUntil(() => asked, 100_000);
  session.type("\x03");
  session.waitFor("^C");
  session.waitFor(PROMPT);
  session.type("xl block-list hello\r");
  expect(session.waitFor(PROMPT)).not.toContain("51712");
  later.resolve(openNow("slow", "r+"));
  session.type("xenstore-ls -f /\r");
  expect(session.waitFor(PROMPT)).not.toContain("51712");
  expect(host.openFiles).toBe(0);
  session.type("exit\r");
  expect(session.end()).toBe(0);
});

it("interrupts a command at Ctrl-C, and the machine goes on", () => {
  const session = open();
  session.type("xl create -q tests/guests/echo/echo.cfg\r");
  session.waitFor(PROMPT);
  session.type("xl shutdown -w echo\r");
  session.waitFor("Waiting for 1 domains");
  session.type("\x03");
  session.waitFor("^C");
  session.waitFor(PROMPT);
  session.type("xl destroy echo\rxl list\r");
  session.waitFor("Domain-0");
  session.type("exit 3\r");
  expect(session.end()).toBe(3);
});
