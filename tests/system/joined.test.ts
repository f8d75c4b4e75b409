// Two machines, each a process of its own, whose bridges are joined by a socket: a guest of one sends datagrams to a guest of the
// other, which sends them back. What the bridge forwards is captured, and read by tcpdump where that is there.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { RunningSession } from "../harness/running.ts";

const folder = mkdtempSync(join(tmpdir(), "xenolith-joined-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("guests of two machines reach each other, and it is all in a capture", async () => {
  const socket = join(folder, "socket");
  const pcap = join(folder, "bridge.pcap");
  const server = new RunningSession(
    ["xl create -q guests/udp-echo/server.cfg", "xl console echo-server --expect 'port 7$'"],
    {
      options: ["--uplink", `bridge=echo,listen:unix:${socket}`, "--bridge", `echo,pcap=${pcap}`],
      open: true,
    },
  );
  await server.shows("port 7");
  const client = new RunningSession(["xl create -q -c guests/udp-echo/client.cfg", "xl list"], {
    options: ["--uplink", `bridge=echo,unix:${socket}`],
  });
  const { status, output, errors } = await client.ended;
  expect({ status, errors, output }).toMatchObject({ status: 0, errors: "" });
  const [, right, all] = /client: (\d+) of (\d+) came back right/.exec(output) ?? [];
  expect([Number(right) > 0, right]).toEqual([true, all]);
  server.type("xl destroy echo-server");
  expect(await server.end()).toMatchObject({ status: 0, errors: "" });

  const capture = readFileSync(pcap);
  expect(capture.readUInt32LE(0)).toBe(0xa1b23c4d);
  let frames = 0;
  let at = 24;
  for (; at < capture.length; at += 16 + capture.readUInt32LE(at + 8)) frames++;
  expect([at, frames > 2 * Number(all)]).toEqual([capture.length, true]);
  const { error, stdout, stderr } = spawnSync("tcpdump", ["-nvr", pcap, "udp"], { encoding: "utf8" });
  if (error) return;
  expect(stderr).not.toMatch(/truncated|bogus/);
  expect(stdout.match(/10\.7\.0\.2\.4096 > 10\.7\.0\.1\.7:/g)?.length).toBeGreaterThanOrEqual(Number(all));
  expect(stdout.match(/10\.7\.0\.1\.7 > 10\.7\.0\.2\.4096:/g)?.length).toBeGreaterThanOrEqual(Number(all));
  expect(stdout).not.toMatch(/bad udp cksum|bad cksum/);
});
