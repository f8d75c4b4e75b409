// The store against a naive one: random requests of dom0 and two guests, with transactions that overlap. A transaction
// that commits must have seen exactly what it would have seen had it run alone at its end (serial order); one that
// met no change since its start must commit.

import fc from "fast-check";
import { expect, it } from "vitest";
import { XsError } from "../../../dom0/xenstored/errors.ts";
import { handle } from "../../../dom0/xenstored/requests.ts";
import { XenStored } from "../../../dom0/xenstored/server.ts";
import { Session } from "../../../dom0/xenstored/session.ts";
import * as XS from "../../../shared/abi/io/xs_wire.ts";

interface Naive {
  /** Every path in order of creation. */
  nodes: Map<string, { value: string; perms: [number, string][] }>;
}

const copy = (s: Naive): Naive => ({ nodes: new Map([...s.nodes].map(([k, v]) => [k, { ...v }])) });
const parent = (p: string): string => (p.lastIndexOf("/") <= 0 ? "/" : p.slice(0, p.lastIndexOf("/")));

/** One request on the naive store: its reply, or "!NAME". Written straight from the protocol's text. */
function naive(store: Naive, domid: number, type: number, path: string, arg: string): string {
  const may = (p: string, need: "r" | "w" | "o"): boolean => {
    const { perms } = store.nodes.get(p)!;
    if (domid === 0 || perms[0][0] === domid) return true;
    const mine = (perms.slice(1).find(([d]) => d === domid) ?? perms[0])[1];
    return need === "o" ? false : mine === "b" || mine === need;
  };
  const nearest = (p: string): string => (store.nodes.has(p) ? p : nearest(parent(p)));
  const there = store.nodes.has(path);
  const missing = (need: "r" | "w"): string => (may(nearest(path), need) ? "!ENOENT" : "!EACCES");
  const create = (p: string): void => {
    if (store.nodes.has(p)) return;
    create(parent(p));
    const above = store.nodes.get(parent(p))!.perms;
    const perms = above.map(([d, l], i): [number, string] => [i === 0 && domid !== 0 ? domid : d, l]);
    store.nodes.set(p, { value: "", perms });
  };
  switch (type) {
    case XS.XS_READ:
      return there ? (may(path, "r") ? store.nodes.get(path)!.value : "!EACCES") : missing("r");
    case XS.XS_DIRECTORY: {
      if (!there) return missing("r");
      if (!may(path, "r")) return "!EACCES";
      const names = [...store.nodes.keys()].filter((p) => p !== "/" && parent(p) === path);
      return names.map((p) => `${p.slice(p.lastIndexOf("/") + 1)}\0`).join("");
    }
    case XS.XS_WRITE:
    case XS.XS_MKDIR:
      if (!may(nearest(path), "w")) return "!EACCES";
      create(path);
      if (type === XS.XS_WRITE) store.nodes.get(path)!.value = arg;
      return "OK\0";
    case XS.XS_RM:
      if (!there && !may(nearest(path), "w")) return "!EACCES";
      if (!there) return store.nodes.has(parent(path)) ? "OK\0" : "!ENOENT";
      if (!may(path, "w")) return "!EACCES";
      for (const p of [...store.nodes.keys()]) if (p === path || p.startsWith(`${path}/`)) store.nodes.delete(p);
      return "OK\0";
    default: {
      const perms = arg.split(" ").map((t): [number, string] => [Number(t.slice(1)), t[0]]);
      if (!there) return missing("w");
      if (!may(path, "o")) return "!EACCES";
      if (domid !== 0 && perms[0][0] !== store.nodes.get(path)!.perms[0][0]) return "!EPERM";
      store.nodes.get(path)!.perms = perms;
      return "OK\0";
    }
  }
}

interface Step {
  who: number;
  slot: number;
  kind: "begin" | "commit" | "abort" | "request";
  type: number;
  path: string;
  arg: string;
}

const types = [XS.XS_READ, XS.XS_DIRECTORY, XS.XS_WRITE, XS.XS_MKDIR, XS.XS_RM, XS.XS_SET_PERMS];
const step: fc.Arbitrary<Step> = fc.record({
  who: fc.constantFrom(0, 1, 1, 2),
  slot: fc.constantFrom(0, 0, 1, 2),
  kind: fc.constantFrom("begin", "commit", "commit", "abort", "request", "request", "request", "request", "request"),
  type: fc.constantFrom(...types, XS.XS_WRITE, XS.XS_READ),
  path: fc.constantFrom("/a", "/a/b", "/a/b/c", "/a/d", "/b", "/b/c/d", "/c", "/c/e", "/c/e/f"),
  arg: fc.constantFrom("n0", "b0", "n1", "n1 r2", "n2 b1", "r0 w1"),
});

function run(steps: readonly Step[]): void {
  const sessions = [0, 1, 2].map((d) => new Session(d, d === 0, () => {}));
  const server = new XenStored((_, domid) => ({ session: sessions[domid], close: () => {} }));
  for (const domid of [1, 2]) server.introduce(domid, 0, 1);
  const store: Naive = { nodes: new Map([["/", { value: "", perms: [[0, "n"]] }]]) };
  let version = 0;
  const open = new Map<string, { id: number; version: number; log: { step: Step; answer: string }[] }>();
  const ask = (who: number, type: number, tx: number, payload: string): string => {
    try {
      return handle(server, sessions[who], type, tx, payload);
    } catch (error) {
      if (error instanceof XsError) return `!${error.code}`;
      throw error;
    }
  };
  const payloadOf = ({ type, path, arg }: Step): string => {
    if (type === XS.XS_WRITE) return `${path}\0${arg}`;
    if (type === XS.XS_SET_PERMS) return `${path}\0${arg.replaceAll(" ", "\0")}\0`;
    return `${path}\0`;
  };
  // dom0 makes /a everybody's and /c domain 1's, so that guests get somewhere.
  for (const [path, perms] of [
    ["/a", "b0"],
    ["/c", "n1"],
  ] as const)
    for (const [type, arg] of [
      [XS.XS_WRITE, "v"],
      [XS.XS_SET_PERMS, perms],
    ] as const) {
      const s: Step = { who: 0, slot: 0, kind: "request", type, path, arg };
      expect(ask(0, type, 0, payloadOf(s))).toBe(naive(store, 0, type, path, arg));
    }

  for (const s of steps) {
    const key = `${s.who}/${s.slot}`;
    const transaction = s.slot === 0 ? undefined : open.get(key);
    if (s.kind === "begin" && s.slot > 0 && !transaction)
      open.set(key, { id: Number(ask(s.who, XS.XS_TRANSACTION_START, 0, "\0").slice(0, -1)), version, log: [] });
    else if ((s.kind === "commit" || s.kind === "abort") && transaction) {
      open.delete(key);
      const answer = ask(s.who, XS.XS_TRANSACTION_END, transaction.id, s.kind === "commit" ? "T\0" : "F\0");
      if (s.kind === "abort") expect(answer).toBe("OK\0");
      else if (answer === "OK\0") {
        for (const { step: was, answer: seen } of transaction.log)
          expect([was, naive(store, was.who, was.type, was.path, was.arg)]).toEqual([was, seen]);
        version++;
      } else {
        expect(answer).toBe("!EAGAIN");
        expect(transaction.version).toBeLessThan(version);
      }
    } else if (s.kind === "request") {
      const answer = ask(s.who, s.type, transaction?.id ?? 0, payloadOf(s));
      if (transaction) transaction.log.push({ step: s, answer });
      else {
        expect([s, answer]).toEqual([s, naive(store, s.who, s.type, s.path, s.arg)]);
        if (s.type !== XS.XS_READ && s.type !== XS.XS_DIRECTORY) version++;
      }
    }
    expect(server.store.check()).toEqual([]);
  }
  const before = copy(store);
  for (const [path, { value }] of before.nodes) expect(ask(0, XS.XS_READ, 0, `${path}\0`)).toBe(value);
}

it("behaves as the naive store does, whatever is asked in whatever order", () => {
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), run), { numRuns: 600 });
});
