// What guests once got out of xenstored, or could have: each test is named for what must not be. The numbers are those of the
// Xen security advisories about the same thing.

import { beforeEach, describe, expect, it } from "vitest";
import { XsClient } from "../../../dom0/xenstored/client.ts";
import type { XenStored } from "../../../dom0/xenstored/server.ts";
import * as XS from "../../../shared/abi/io/xs_wire.ts";
import { encodeMessage } from "../../../shared/xenstore_wire.ts";
import { type Guest, testServer } from "./guest.ts";

let server: XenStored;
let dom0: XsClient;
let faults: unknown[];
let guest: (domid: number) => Guest;
let g1: Guest;
let g2: Guest;

beforeEach(() => {
  ({ server, guest, faults } = testServer());
  dom0 = new XsClient(server);
  for (const domid of [1, 2]) dom0.write(`/local/domain/${domid}`, "", [`n0`, `r${domid}`]);
  for (const domid of [1, 2]) dom0.write(`/local/domain/${domid}/data`, "", [`n${domid}`]);
  g1 = guest(1);
  g2 = guest(2);
});

const start = (g: Guest): number => Number(g.ask(XS.XS_TRANSACTION_START, "\0").slice(0, -1));

describe("a newcomer with a dead domain's number (XSA-322)", () => {
  it("has none of the rights that others gave the dead one", () => {
    g1.ask(XS.XS_WRITE, "data/s\0v");
    g1.ask(XS.XS_SET_PERMS, "data/s\0n1\0b2\0");
    dom0.write("/tool/t", "v", ["n0", "r2", "r1"]);
    server.setSpecialPerms("@releaseDomain", [
      { domid: 0, rights: 0 },
      { domid: 2, rights: 1 },
    ]);
    expect(g2.ask(XS.XS_READ, "/local/domain/1/data/s\0")).toBe("v");
    server.release(2);
    expect(g1.ask(XS.XS_GET_PERMS, "data/s\0")).toBe("n1\0");
    expect(dom0.permissions("/tool/t")).toEqual(["n0", "r1"]);
    const newcomer = guest(2);
    expect(newcomer.ask(XS.XS_READ, "/local/domain/1/data/s\0")).toBe("!EACCES");
    expect(newcomer.ask(XS.XS_READ, "/tool/t\0")).toBe("!EACCES");
    newcomer.ask(XS.XS_WATCH, "@releaseDomain\0t\0");
    newcomer.takeEvents();
    server.release(1);
    expect(newcomer.takeEvents()).toEqual([]);
  });

  it("has none that were given before it was there, in a transaction or not", () => {
    g1.ask(XS.XS_WRITE, "data/s\0v");
    const tx = start(g1);
    g1.ask(XS.XS_WRITE, "data/t\0v", tx);
    expect(g1.ask(XS.XS_SET_PERMS, "data/t\0n1\0r2\0", tx)).toBe("OK\0");
    server.release(2);
    expect(g1.ask(XS.XS_SET_PERMS, "data/s\0n1\0r2\0r0\0")).toBe("OK\0");
    expect(g1.ask(XS.XS_GET_PERMS, "data/s\0")).toBe("n1\0r0\0");
    expect(g1.ask(XS.XS_TRANSACTION_END, "T\0", tx)).toBe("OK\0");
    const newcomer = guest(2);
    for (const name of ["s", "t"]) expect(newcomer.ask(XS.XS_READ, `/local/domain/1/data/${name}\0`)).toBe("!EACCES");
  });

  it("has what the toolstack gives it before it is introduced", () => {
    dom0.write("/local/domain/3", "", ["n0", "r3"]);
    expect(guest(3).ask(XS.XS_READ, "/local/domain/3\0")).toBe("");
  });
});

it("a guest doesn't learn by any request whether another's node exists", () => {
  g1.ask(XS.XS_WRITE, "data/there\0v");
  const answers = (path: string): string[] => [
    ...[XS.XS_READ, XS.XS_DIRECTORY, XS.XS_GET_PERMS, XS.XS_MKDIR, XS.XS_RM].map((type) => g2.ask(type, `${path}\0`)),
    g2.ask(XS.XS_WRITE, `${path}\0v`),
    g2.ask(XS.XS_SET_PERMS, `${path}\0n2\0`),
    g2.ask(XS.XS_DIRECTORY_PART, `${path}\x000\0`),
  ];
  const there = answers("/local/domain/1/data/there");
  expect(new Set(there)).toEqual(new Set(["!EACCES"]));
  expect(answers("/local/domain/1/data/nothing")).toEqual(there);
  expect(answers("/local/domain/1/data/nothing/below")).toEqual(there);
  expect(answers("/local/domain/77/name")).toEqual(there);
});

describe("watches (XSA-115)", () => {
  it("tell of a node below one that the watcher may read, and of no other", () => {
    dom0.write("/open", "", ["r0"]);
    g2.ask(XS.XS_WATCH, "/open\0t\0");
    g2.takeEvents();
    dom0.write("/open/secret", "", ["n0"]);
    dom0.write("/open/secret/deep", "", ["n0"]);
    dom0.remove("/open/secret");
    // Its name is among the children of /open, which the watcher may list.
    expect(g2.takeEvents()).toEqual(["/open/secret t"]);
  });
});

describe("what a guest has xenstored keep (XSA-326)", () => {
  it("in transactions is bounded by bytes: long paths that aren't there, and long values", () => {
    const long = (i: number): string => `data/${i}${"x".repeat(2000)}`;
    for (const [type, rest] of [
      [XS.XS_READ, "\0"],
      [XS.XS_WRITE, `\0${"v".repeat(2000)}`],
    ] as const) {
      const tx = start(g1);
      let taken = 0;
      while (g1.ask(type, `${long(taken)}${rest}`, tx) !== "!ENOSPC") taken++;
      expect(taken).toBeGreaterThan(30);
      expect(taken).toBeLessThan(140);
      expect(g1.ask(XS.XS_READ, "data\0", tx)).toBe("");
    }
  });

  it("in transactions is bounded by operations too, but not dom0's own", () => {
    const tx = start(g1);
    for (let i = 0; i < 512; i++) expect(g1.ask(XS.XS_WRITE, `data/a\0${i}`, tx)).toBe("OK\0");
    expect(g1.ask(XS.XS_WRITE, "data/a\x00more", tx)).toBe("!ENOSPC");
    dom0.transaction((view) => {
      for (let i = 0; i < 2000; i++) view.write(`/tool/${i}`, "x");
    });
    expect(dom0.directory("/tool")).toHaveLength(2000);
  });

  it("in events that it doesn't take is bounded by bytes", () => {
    const token = "t".repeat(3000);
    for (let i = 0; i < 100; i++) g1.ask(XS.XS_WATCH, `data\0${i}${token}\0`);
    g1.takeEvents();
    for (let i = 0; i < 1000; i++) dom0.write(`/local/domain/1/data/${i}`, "");
    const bytes = g1.takeEvents().reduce((sum, event) => sum + event.length, 0);
    expect(bytes).toBeGreaterThan(200_000);
    expect(bytes).toBeLessThan(300_000);
  });

  it("doesn't keep it from removing what it has, however much that is", () => {
    for (let i = 0; i < 900; i++) g1.ask(XS.XS_WRITE, `data/d/${i}${"x".repeat(1000)}\0v`);
    for (let i = 0; i < 400; i++) dom0.write(`/local/domain/1/data/d/by-dom0-${i}`, "", ["n0", "b1"]);
    expect(g1.ask(XS.XS_RM, "data/d\0")).toBe("OK\0");
    expect(server.store.nodesOf(1)).toBe(1);
  });
});

describe("deep trees (XSA-418)", () => {
  it("are made and removed like others, by their owner, and with it", () => {
    const deep = `data${"/x".repeat(900)}`;
    expect(g1.ask(XS.XS_WRITE, `${deep}\0v`)).toBe("OK\0");
    expect(g1.ask(XS.XS_READ, `${deep}\0`)).toBe("v");
    expect(g1.ask(XS.XS_WRITE, `data${"/y".repeat(200)}\0v`)).toBe("!ENOSPC");
    expect(g1.ask(XS.XS_RM, "data/x\0")).toBe("OK\0");
    expect(g1.ask(XS.XS_WRITE, `${deep}\0v`)).toBe("OK\0");
    server.release(1);
    expect(server.store.nodesOf(1)).toBe(0);
    expect(server.store.check()).toEqual([]);
  });

  it("have paths as long as Xen's: 2048 bytes below a domain's home, and anywhere else", () => {
    const fits = "x".repeat(2043);
    expect(g1.ask(XS.XS_WRITE, `data/${fits}\0v`)).toBe("OK\0");
    expect(g1.ask(XS.XS_READ, `/local/domain/1/data/${fits}\0`)).toBe("v");
    expect(g1.ask(XS.XS_READ, `/local/domain/1/data/${fits}x\0`)).toBe("!EINVAL");
    expect(g1.ask(XS.XS_READ, `/${"x".repeat(2047)}\0`)).toBe("!EACCES");
    expect(g1.ask(XS.XS_READ, `/${"x".repeat(2048)}\0`)).toBe("!EINVAL");
    expect(g1.ask(XS.XS_WATCH, `@${"x".repeat(2048)}\0t\0`)).toBe("!EINVAL");
  });
});

describe("requests that cost much", () => {
  it("end the turn of the guest whose they are, so that others have theirs", () => {
    let now = 0;
    const time = (): number => now;
    for (let i = 0; i < 10; i++) g1.send(encodeMessage(XS.XS_READ, i, 0, "data\0"));
    const { store } = server;
    const read = store.read.bind(store);
    store.read = (...args) => {
      now += 400_000; // It is 0.4 ms later.
      return read(...args);
    };
    expect(g1.connection.service(time)).toBe(true);
    expect(now).toBe(1_200_000);
    expect(g1.connection.service(time)).toBe(true);
    expect(now).toBe(2_400_000);
  });
});

describe("a fault of xenstored's own", () => {
  it("is an error of that one request, and costs nobody else the store", () => {
    const { store } = server;
    const read = store.read.bind(store);
    store.read = () => {
      throw new TypeError("a fault");
    };
    expect(g1.ask(XS.XS_READ, "data\0")).toBe("!EIO");
    expect(faults).toEqual([new TypeError("a fault")]);
    store.read = read;
    expect(g1.ask(XS.XS_READ, "data\0")).toBe("");
  });
});

describe("any bytes at all on the ring", () => {
  it("are answered or end the connection, and hurt nobody else", () => {
    let x = 12345;
    const random = (n: number): number => {
      x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
      return Math.floor((x / 4294967296) * n);
    };
    const words = [
      "data",
      "/",
      "@releaseDomain",
      "T",
      "F",
      "n1",
      "b2",
      "r7",
      "0",
      "-1",
      "99999",
      "\0",
      "\0\0",
      "..",
      "x/y",
    ];
    for (let round = 0; round < 3000; round++) {
      const type = random(25);
      let payload = "";
      for (let n = random(5); n > 0; n--) payload += words[random(words.length)] + (random(4) ? "\0" : "");
      const message = encodeMessage(type, round, random(3), payload);
      if (random(20) === 0) message[random(16)] = random(256);
      g1.send(message);
      g1.serve();
      g1.messages();
      if (!g1.connection.isShut) continue;
      g1.fields.connection = XS.XENSTORE_RECONNECT;
      g1.serve();
    }
    expect(faults).toEqual([]);
    expect(server.store.check()).toEqual([]);
    expect(g2.ask(XS.XS_READ, "data\0")).toBe("");
  });
});
