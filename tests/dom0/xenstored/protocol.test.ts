// The xenstore protocol as a guest meets it, over its ring: requests, permissions, watches, transactions, quotas, and what
// happens to a guest that breaks the rules.

import { beforeEach, describe, expect, it } from "vitest";
import { XsClient } from "../../../dom0/xenstored/client.ts";
import type { XenStored } from "../../../dom0/xenstored/server.ts";
import * as XS from "../../../shared/abi/io/xs_wire.ts";
import { encodeMessage } from "../../../shared/xenstore_wire.ts";
import { type Guest, testServer } from "./guest.ts";

let server: XenStored;
let dom0: XsClient;
let g1: Guest;
let g2: Guest;

beforeEach(() => {
  const made = testServer();
  server = made.server;
  dom0 = new XsClient(server);
  for (const domid of [1, 2]) dom0.write(`/local/domain/${domid}`, "", [`n0`, `r${domid}`]);
  for (const domid of [1, 2]) dom0.write(`/local/domain/${domid}/data`, "", [`n${domid}`]);
  g1 = made.guest(1);
  g2 = made.guest(2);
});

describe("reading and writing", () => {
  it("keeps what was written, by absolute and by relative path, any bytes", () => {
    expect(g1.ask(XS.XS_WRITE, "data/a\0one\0two\xff")).toBe("OK\0");
    expect(g1.ask(XS.XS_READ, "/local/domain/1/data/a\0")).toBe("one\0two\xff");
    expect(g1.ask(XS.XS_READ, "data/a\0")).toBe("one\0two\xff");
    expect(g1.ask(XS.XS_DIRECTORY, "data\0")).toBe("a\0");
    expect(g1.ask(XS.XS_DIRECTORY, "data/a\0")).toBe("");
  });

  it("makes missing parents empty, and leaves what mkdir finds", () => {
    g1.ask(XS.XS_WRITE, "data/x/y/z\0v");
    expect(g1.ask(XS.XS_READ, "data/x\0")).toBe("");
    expect(g1.ask(XS.XS_MKDIR, "data/x/y/z\0")).toBe("OK\0");
    expect(g1.ask(XS.XS_READ, "data/x/y/z\0")).toBe("v");
    expect(g1.ask(XS.XS_GET_PERMS, "data/x/y\0")).toBe("n1\0");
  });

  it("removes with all below; nothing there is no error unless the parent is missing too", () => {
    g1.ask(XS.XS_WRITE, "data/x/y\0v");
    expect(g1.ask(XS.XS_RM, "data/x\0")).toBe("OK\0");
    expect(g1.ask(XS.XS_READ, "data/x/y\0")).toBe("!ENOENT");
    expect(g1.ask(XS.XS_RM, "data/x\0")).toBe("OK\0");
    expect(g1.ask(XS.XS_RM, "data/x/y\0")).toBe("!ENOENT");
    expect(g1.ask(XS.XS_RM, "/\0")).toBe("!EINVAL");
  });

  it.each([
    ["a/b\0", "no such node", "!ENOENT"],
    ["", "no string", "!EINVAL"],
    ["data", "no zero byte", "!EINVAL"],
    ["data\0x\0", "two strings", "!EINVAL"],
    ["\0", "the empty path", "!EINVAL"],
    ["data/\0", "a slash at the end", "!EINVAL"],
    ["data//a\0", "two slashes", "!EINVAL"],
    ["da ta\0", "a blank", "!EINVAL"],
    ["../2\0", "dots", "!EINVAL"],
    ["@releaseDomain\0", "a special name", "!EINVAL"],
    [`/${"a".repeat(3072)}\0`, "too long", "!EINVAL"],
    [`${"a".repeat(2049)}\0`, "too long for a relative one", "!EINVAL"],
  ])("READ %j: %s", (payload, _, answer) => {
    expect(g1.ask(XS.XS_READ, payload)).toBe(answer);
  });

  it("gives long directories in parts, and E2BIG for the whole", () => {
    const names = Array.from({ length: 900 }, (_, i) => `node-${i}`);
    for (const name of names) dom0.write(`/local/domain/1/data/${name}`, "");
    expect(g1.ask(XS.XS_DIRECTORY, "data\0")).toBe("!E2BIG");
    let all = "";
    let generation: string | undefined;
    for (;;) {
      const part = g1.ask(XS.XS_DIRECTORY_PART, `data\0${all.length}\0`);
      const end = part.indexOf("\0");
      generation ??= part.slice(0, end);
      expect(part.slice(0, end)).toBe(generation);
      all += part.slice(end + 1);
      if (all.endsWith("\0\0") || part.length === end + 2) break;
    }
    expect(all.split("\0").filter((s) => s !== "")).toEqual(names);
    dom0.write("/local/domain/1/data/one-more", "");
    expect(g1.ask(XS.XS_DIRECTORY_PART, "data\x000\0").startsWith(`${generation}\0`)).toBe(false);
  });
});

describe("permissions", () => {
  it("keep guests from each other's nodes and from the toolstack's", () => {
    g1.ask(XS.XS_WRITE, "data/secret\0s");
    expect(g2.ask(XS.XS_READ, "/local/domain/1/data/secret\0")).toBe("!EACCES");
    expect(g2.ask(XS.XS_READ, "/local/domain/1/data/nothing\0")).toBe("!EACCES");
    expect(g2.ask(XS.XS_WRITE, "/local/domain/1/data/secret\0x")).toBe("!EACCES");
    expect(g2.ask(XS.XS_RM, "/local/domain/1/data\0")).toBe("!EACCES");
    expect(g1.ask(XS.XS_WRITE, "name\0x")).toBe("!EACCES");
    expect(g1.ask(XS.XS_WRITE, "/x\0x")).toBe("!EACCES");
    expect(g1.ask(XS.XS_READ, "data/secret\0")).toBe("s");
  });

  it("are changed by the owner only, who can't give the node away", () => {
    g1.ask(XS.XS_WRITE, "data/s\0v");
    expect(g1.ask(XS.XS_SET_PERMS, "data/s\0n1\0r2\0")).toBe("OK\0");
    expect(g2.ask(XS.XS_READ, "/local/domain/1/data/s\0")).toBe("v");
    expect(g2.ask(XS.XS_WRITE, "/local/domain/1/data/s\0w")).toBe("!EACCES");
    expect(g2.ask(XS.XS_SET_PERMS, "/local/domain/1/data/s\0b2\0")).toBe("!EACCES");
    expect(g1.ask(XS.XS_SET_PERMS, "data/s\0n2\0")).toBe("!EPERM");
    expect(g1.ask(XS.XS_SET_PERMS, "data/s\0")).toBe("!EINVAL");
    expect(g1.ask(XS.XS_SET_PERMS, "data/s\0q1\0")).toBe("!EINVAL");
    expect(g1.ask(XS.XS_SET_PERMS, "data/s\0n1\0r2\0r3\0r4\0r5\0r6\0")).toBe("!ENOSPC");
    expect(g1.ask(XS.XS_GET_PERMS, "data/s\0")).toBe("n1\0r2\0");
  });

  it("of a target are shared (SET_TARGET)", () => {
    g1.ask(XS.XS_WRITE, "data/s\0v");
    server.setTarget(2, 1);
    expect(g2.ask(XS.XS_READ, "/local/domain/1/data/s\0")).toBe("v");
  });

  it.each([
    [XS.XS_INTRODUCE, "3\x001\x001\0"],
    [XS.XS_RELEASE, "2\0"],
    [XS.XS_RESUME, "2\0"],
    [XS.XS_SET_TARGET, "1\x002\0"],
    [XS.XS_CONTROL, "check\0"],
    [XS.XS_SET_PERMS, "@releaseDomain\0r1\0"],
  ])("request %i is for dom0 only", (type, payload) => {
    expect(g1.ask(type, payload)).toBe("!EACCES");
    expect(server.isIntroduced(2)).toBe(true);
  });
});

describe("watches", () => {
  it("fire once at once, then for the node and all below", () => {
    expect(g1.ask(XS.XS_WATCH, "data\0t\0")).toBe("OK\0");
    expect(g1.takeEvents()).toEqual(["data t"]);
    dom0.write("/local/domain/1/data/a/b", "1");
    dom0.mkdir("/local/domain/1/data/m");
    dom0.write("/local/domain/1/other", "1", ["n0", "r1"]);
    expect(g1.takeEvents()).toEqual(["data/a/b t", "data/m t"]);
  });

  it("tell a watcher below a removal of its own path", () => {
    g1.ask(XS.XS_WRITE, "data/a/b\x001");
    g1.ask(XS.XS_WATCH, "/local/domain/1/data/a/b\0t\0");
    g1.takeEvents();
    dom0.remove("/local/domain/1/data");
    expect(g1.takeEvents()).toEqual(["/local/domain/1/data/a/b t"]);
  });

  it("don't tell of nodes that the watcher can't read", () => {
    g2.ask(XS.XS_WATCH, "/local/domain/1\0t\0");
    g2.ask(XS.XS_WATCH, "/\0r\0");
    g2.takeEvents();
    g1.ask(XS.XS_WRITE, "data/x\0v");
    g1.ask(XS.XS_RM, "data/x\0");
    expect(g2.takeEvents()).toEqual([]);
    expect(g1.ask(XS.XS_SET_PERMS, "data\0r1\0")).toBe("OK\0");
    expect(g2.takeEvents()).toEqual(["/local/domain/1/data r", "/local/domain/1/data t"]);
  });

  it("end with unwatch and reset", () => {
    g1.ask(XS.XS_WATCH, "data\0t\0");
    expect(g1.ask(XS.XS_WATCH, "data\0t\0")).toBe("!EEXIST");
    expect(g1.ask(XS.XS_UNWATCH, "data\0other\0")).toBe("!ENOENT");
    expect(g1.ask(XS.XS_UNWATCH, "data\0t\0")).toBe("OK\0");
    g1.ask(XS.XS_WATCH, "data\0u\0");
    expect(g1.ask(XS.XS_RESET_WATCHES, "\0")).toBe("OK\0");
    g1.takeEvents();
    dom0.write("/local/domain/1/data/a", "1");
    expect(g1.takeEvents()).toEqual([]);
    expect(server.watches.count(g1.connection.session)).toBe(0);
  });

  it("of special names go to dom0 and to whom dom0 allows", () => {
    dom0.watch("@introduceDomain", "i");
    dom0.watch("@releaseDomain", "r");
    g2.ask(XS.XS_WATCH, "@releaseDomain\0t\0");
    g2.takeEvents();
    while (dom0.events.tryReceive());
    server.release(1);
    expect(dom0.events.tryReceive()).toEqual({ path: "@releaseDomain", token: "r" });
    expect(g2.takeEvents()).toEqual([]);
    server.setSpecialPerms("@releaseDomain", [
      { domid: 0, rights: 0 },
      { domid: 2, rights: 1 },
    ]);
    server.introduce(3, 0, 1);
    server.release(3);
    expect(g2.takeEvents()).toEqual(["@releaseDomain t"]);
  });

  it("merge equal events that still wait, and stop growing for a guest that reads nothing", () => {
    g1.ask(XS.XS_WATCH, "data\0t\0");
    g1.takeEvents();
    for (let i = 0; i < 5000; i++) dom0.write("/local/domain/1/data/a", String(i));
    for (let i = 0; i < 3000; i++) dom0.write(`/local/domain/1/data/n${i % 1500}`, "");
    const events = g1.takeEvents();
    expect(events.filter((e) => e === "data/a t")).toHaveLength(1);
    expect(events.length).toBeLessThanOrEqual(1025);
    expect(events.length).toBeGreaterThan(500);
  });
});

describe("transactions", () => {
  const start = (g: Guest): number => Number(g.ask(XS.XS_TRANSACTION_START, "\0").slice(0, -1));

  it("show their changes inside only, until they are committed", () => {
    const tx = start(g1);
    g1.ask(XS.XS_WRITE, "data/a\x001", tx);
    expect(g1.ask(XS.XS_READ, "data/a\0", tx)).toBe("1");
    expect(g1.ask(XS.XS_READ, "data/a\0")).toBe("!ENOENT");
    expect(g1.ask(XS.XS_TRANSACTION_END, "T\0", tx)).toBe("OK\0");
    expect(g1.ask(XS.XS_READ, "data/a\0")).toBe("1");
    expect(g1.ask(XS.XS_READ, "data/a\0", tx)).toBe("!ENOENT");
  });

  it("fire watches when committed, and not when dropped", () => {
    dom0.watch("/local/domain/1/data", "w");
    while (dom0.events.tryReceive());
    const [kept, dropped] = [start(g1), start(g1)];
    g1.ask(XS.XS_WRITE, "data/a\x001", kept);
    g1.ask(XS.XS_WRITE, "data/b\x001", dropped);
    expect(dom0.events.tryReceive()).toBeUndefined();
    g1.ask(XS.XS_TRANSACTION_END, "F\0", dropped);
    g1.ask(XS.XS_TRANSACTION_END, "T\0", kept);
    expect(dom0.events.tryReceive()).toEqual({ path: "/local/domain/1/data/a", token: "w" });
    expect(dom0.events.tryReceive()).toBeUndefined();
  });

  it("conflict when what they read was written, and only then", () => {
    g1.ask(XS.XS_WRITE, "data/a\x001");
    g1.ask(XS.XS_WRITE, "data/b\x001");
    const [reader, other] = [start(g1), start(g1)];
    g1.ask(XS.XS_READ, "data/a\0", reader);
    g1.ask(XS.XS_WRITE, "data/b\0mine", reader);
    g1.ask(XS.XS_READ, "data/b\0", other);
    dom0.write("/local/domain/1/data/a", "2");
    dom0.write("/local/domain/2/data/far", "2");
    expect(g1.ask(XS.XS_TRANSACTION_END, "T\0", reader)).toBe("!EAGAIN");
    expect(g1.ask(XS.XS_READ, "data/b\0")).toBe("1");
    expect(g1.ask(XS.XS_TRANSACTION_END, "T\0", other)).toBe("OK\0");
  });

  it("conflict when what they found missing came to be", () => {
    const tx = start(g1);
    expect(g1.ask(XS.XS_READ, "data/lock\0", tx)).toBe("!ENOENT");
    dom0.write("/local/domain/1/data/lock", "taken");
    g1.ask(XS.XS_WRITE, "data/mine\x001", tx);
    expect(g1.ask(XS.XS_TRANSACTION_END, "T\0", tx)).toBe("!EAGAIN");
  });

  it.each([
    [XS.XS_TRANSACTION_END, "T\0", 99, "!ENOENT"],
    [XS.XS_TRANSACTION_END, "T\0", 0, "!ENOENT"],
    [XS.XS_READ, "data\0", 99, "!ENOENT"],
    [XS.XS_TRANSACTION_START, "\0", 99, "!ENOENT"],
  ])("refuse request %i with %j in transaction %i", (type, payload, tx, answer) => {
    expect(g1.ask(type, payload, tx)).toBe(answer);
  });

  it("refuse a verdict that is neither T nor F, and one inside another", () => {
    const tx = start(g1);
    expect(g1.ask(XS.XS_TRANSACTION_END, "X\0", tx)).toBe("!EINVAL");
    expect(g1.ask(XS.XS_TRANSACTION_START, "\0", tx)).toBe("!EBUSY");
    expect(g1.ask(XS.XS_TRANSACTION_END, "F\0", tx)).toBe("OK\0");
  });
});

describe("quotas", () => {
  it("bound a guest's nodes, and removing gives them back", () => {
    let made = 1;
    while (g1.ask(XS.XS_MKDIR, `data/n${made}\0`) === "OK\0") made++;
    expect(made).toBe(1000);
    expect(g1.ask(XS.XS_MKDIR, "data/again\0")).toBe("!ENOSPC");
    g1.ask(XS.XS_RM, "data/n1\0");
    expect(g1.ask(XS.XS_MKDIR, "data/again\0")).toBe("OK\0");
    expect(server.store.check()).toEqual([]);
  });

  it("bound values, watches and transactions", () => {
    expect(g1.ask(XS.XS_WRITE, `data/a\0${"x".repeat(2048)}`)).toBe("OK\0");
    expect(g1.ask(XS.XS_WRITE, `data/a\0${"x".repeat(2049)}`)).toBe("!ENOSPC");
    for (let i = 0; i < 128; i++) g1.ask(XS.XS_WATCH, `data/a\0${i}\0`);
    expect(g1.ask(XS.XS_WATCH, "data/a\0more\0")).toBe("!E2BIG");
    for (let i = 0; i < 10; i++) g1.ask(XS.XS_TRANSACTION_START, "\0");
    expect(g1.ask(XS.XS_TRANSACTION_START, "\0")).toBe("!ENOSPC");
  });
});

describe("what a transaction has looked at", () => {
  it("is bounded for a guest", () => {
    const tx = Number(g1.ask(XS.XS_TRANSACTION_START, "\0").slice(0, -1));
    for (let i = 0; i < 1024; i++) expect(g1.ask(XS.XS_READ, `data/${i}\0`, tx)).toBe("!ENOENT");
    expect(g1.ask(XS.XS_READ, "data/1024\0", tx)).toBe("!ENOSPC");
    expect(g1.ask(XS.XS_READ, "data/0\0", tx)).toBe("!ENOENT");
    expect(g1.ask(XS.XS_READ, "data/1024\0")).toBe("!ENOENT");
  });

  it("includes who may learn that there is nothing", () => {
    dom0.write("/open", "", ["b0"]);
    const tx = Number(g1.ask(XS.XS_TRANSACTION_START, "\0").slice(0, -1));
    expect(g1.ask(XS.XS_READ, "/open/nothing\0", tx)).toBe("!ENOENT");
    dom0.setPermissions("/open", ["n0"]);
    expect(g1.ask(XS.XS_TRANSACTION_END, "T\0", tx)).toBe("!EAGAIN");
  });
});

describe("domains", () => {
  it("tell their path and whether they are connected", () => {
    expect(g1.ask(XS.XS_GET_DOMAIN_PATH, "7\0")).toBe("/local/domain/7\0");
    expect(g1.ask(XS.XS_GET_DOMAIN_PATH, "x\0")).toBe("!EINVAL");
    expect(g1.ask(XS.XS_IS_DOMAIN_INTRODUCED, "2\0")).toBe("T\0");
    expect(g1.ask(XS.XS_IS_DOMAIN_INTRODUCED, "0\0")).toBe("T\0");
    expect(g1.ask(XS.XS_IS_DOMAIN_INTRODUCED, "9\0")).toBe("F\0");
  });

  it("leave nothing behind when they are gone", () => {
    g1.ask(XS.XS_WRITE, "data/a\x001");
    g1.ask(XS.XS_WATCH, "data\0t\0");
    g1.ask(XS.XS_TRANSACTION_START, "\0");
    const { session } = g1.connection;
    dom0.watch("@releaseDomain", "r");
    dom0.events.tryReceive();
    server.checkDomains((domid) => (domid === 1 ? undefined : { shutdown: false, dying: false }));
    expect(dom0.events.tryReceive()).toEqual({ path: "@releaseDomain", token: "r" });
    expect(g1.closed).toBe(true);
    expect(server.isIntroduced(1)).toBe(false);
    expect(server.store.nodesOf(1)).toBe(0);
    expect(server.watches.count(session)).toBe(0);
    expect(session.openTransactions).toBe(0);
    expect(dom0.directory("/local/domain/1")).toEqual([]);
    expect(server.store.check()).toEqual([]);
  });

  it("are announced once when they shut down, and again after RESUME", () => {
    dom0.watch("@releaseDomain", "r");
    dom0.events.tryReceive();
    const check = () => server.checkDomains(() => ({ shutdown: true, dying: false }));
    check();
    check();
    expect(dom0.events.length).toBe(1);
    expect(server.isIntroduced(1)).toBe(true);
    server.resume(1);
    check();
    expect(dom0.events.length).toBe(2);
  });
});

describe("a guest that breaks the protocol", () => {
  it("gets ENOSYS for an unknown request, and goes on", () => {
    for (const type of [15, 16, 20, 23, 0xffff, 0xffffffff]) expect(g1.ask(type, "\0")).toBe("!ENOSYS");
    expect(g1.ask(XS.XS_READ, "data\0")).toBe("");
  });

  it("is cut off when it announces too long a payload, and may reconnect", () => {
    g1.ask(XS.XS_WATCH, "data\0t\0");
    const header = encodeMessage(XS.XS_WRITE, 1, 0, "");
    new DataView(header.buffer).setUint32(12, 4097, true);
    g1.send(header);
    g1.serve();
    expect(g1.fields.error).toBe(XS.XENSTORE_ERROR_PROTO);
    expect(g1.connection.isShut).toBe(true);
    expect(server.watches.count(g1.connection.session)).toBe(0);
    g1.fields.connection = XS.XENSTORE_RECONNECT;
    g1.serve();
    expect([g1.fields.connection, g1.fields.error, g1.fields.req_prod]).toEqual([0, 0, 0]);
    g1.messages();
    expect(g1.ask(XS.XS_READ, "data\0")).toBe("");
  });

  it("is cut off when an index runs further than the ring is long", () => {
    g1.fields.req_prod = g1.fields.req_cons + 1025;
    g1.serve();
    expect(g1.fields.error).toBe(XS.XENSTORE_ERROR_RINGIDX);
    g2.fields.rsp_cons = g2.fields.rsp_prod + 1;
    dom0.write("/local/domain/2/data/x", "1");
    g2.send(encodeMessage(XS.XS_READ, 1, 0, "data\0"));
    g2.connection.service();
    expect(g2.fields.error).toBe(XS.XENSTORE_ERROR_RINGIDX);
  });

  it("harms only itself by changing xenstored's own indexes", () => {
    g1.ask(XS.XS_READ, "data\0");
    g1.fields.req_cons = 0x12345678;
    g1.fields.rsp_prod = 0x77777777;
    g1.connection.service();
    expect(g1.connection.isShut).toBe(true);
    expect(g2.ask(XS.XS_READ, "data\0")).toBe("");
  });

  it("that never takes its replies stops being served, at a bounded cost", () => {
    const request = encodeMessage(XS.XS_READ, 1, 0, "data/big\0");
    dom0.write("/local/domain/1/data/big", "x".repeat(2000));
    let taken = 0;
    for (let i = 0; i < 1000; i++) {
      const free = 1024 - ((g1.fields.req_prod - g1.fields.req_cons) >>> 0);
      if (free < request.length) break;
      for (const byte of request) {
        g1.page[g1.fields.req_prod % 1024] = byte;
        g1.fields.req_prod++;
      }
      while (g1.connection.service());
      taken++;
    }
    expect(taken).toBeLessThan(100);
    expect(g2.ask(XS.XS_READ, "data\0")).toBe("");
  });
});
