// Two TypeScript kernels, each a domain with an interface on a bridge of their own, send each other UDP datagrams over the SDK's
// stack: of every odd size, in pieces too. Then they end, and nothing of either is left.

import { expect, it } from "vitest";
import type { DomId } from "../../shared/brand.ts";
import { Session } from "./session.ts";

const FILES = ["server.cfg", "server.ts", "client.cfg", "client.ts"].map((name) => `guests/udp-echo/${name}`);

it("an echo server and its client, domains of their own", () => {
  const session = new Session({ files: FILES });
  const run = (lines: readonly string[]): string => {
    session.type(lines.map((line) => `${line}\n`).join(""));
    session.type("xl domid Domain-0\n");
    return session.waitFor("\n0\n");
  };
  const round = [
    "xl create -q guests/udp-echo/server.cfg",
    "xl console echo-server --expect 'at 10.7.0.1, port 7$'",
    "xl create -q -c guests/udp-echo/client.cfg",
    "xl shutdown -w echo-server",
    "xl info free_memory",
  ];
  const first = run(round);
  expect(first).not.toMatch(/nothing came back|other bytes/);
  for (const size of [0, 1, 1471, 1472, 1473, 4097, 65507])
    expect(first).toContain(`client: ${size} bytes: the same came back\n`);
  expect(first).toContain("client: 20 of 20 came back right\nclient: good bye\n");
  const { hv } = session.machine;
  const left = () => ({
    domains: [...hv.domains.keys()],
    free: hv.frames.freeFrames,
    ports: hv.domains.get(0 as DomId)?.events.active,
    problems: session.machine.checker(),
  });
  run(round);
  const after2 = left();
  expect(after2).toMatchObject({ domains: [0], problems: [] });
  run(round);
  expect(left()).toEqual(after2);
  expect(session.end()).toBe(0);
});
