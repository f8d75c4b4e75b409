// Channels by xl's commands, on a guest that has no driver for them: made with the domain and gone with it, then free for
// the next one, refused in one line. A guest that uses one is in tests/images/; the bytes are tests/dom0/backends/console/'s.

import { expect, it } from "vitest";
import { SimulatedChannel } from "../harness/channel.ts";
import { script } from "./session.ts";

const TICKER = "tests/guests/ticker/ticker.cfg";
const create = (...channels: string[]): string => `xl create -q ${TICKER} 'channel=${JSON.stringify(channels)}'`;

it("are there while the domain is, and listed; the first console is not one of them", () => {
  const channels = new SimulatedChannel();
  const { status, output, session } = script(
    [
      create("connection=socket,path=/tmp/x.sock,name=org.example"),
      "xl channel-list ticker",
      "xenstore-ls -f -p /local/domain/1/device/console",
      "xenstore-ls -f -p /local/domain/0/backend/console",
      "xl console ticker --expect 'ticker: 2$'",
      "xl destroy ticker",
      create("connection=socket,path=/tmp/x.sock,name=again"),
      "xl destroy ticker",
      "xenstore-ls -f /local/domain/0/backend",
      "xenstore-ls -f /libxl",
    ],
    { channels },
  );
  expect(output).toContain(
    `Idx BE state evt-ch ring-ref connection ${" ".repeat(30)}\n1   0  1     -1     -1       socket     \n/local`,
  );
  const front = "/local/domain/1/device/console/1";
  const back = "/local/domain/0/backend/console/1/1";
  for (const node of [
    `${front}/backend = "${back}"   (n1,r0)`,
    `${front}/state = "1"   (n1,r0)`,
    `${front}/name = "org.example"   (n0,r1)`,
    `${front}/output = "chardev:libxl-channel1"   (n0,r1)`,
    `${back}/frontend = "${front}"   (n0,r1)`,
    `${back}/state = "2"   (n0,r1)`,
    `${back}/path = "/tmp/x.sock"   (n0,r1)`,
    `/local/domain/0/backend/console/1/0/state = "1"   (n0,r1)`,
  ])
    expect(output).toContain(`${node}\n`);
  expect(output).toContain("ticker: 2");
  expect(output.slice(output.indexOf("ticker: 2"))).not.toMatch(/console\/\d/);
  expect(channels.path).toBeUndefined();
  expect(status).toBe(0);
  expect(session.machine.checker()).toEqual([]);
});

it("that can't be are refused in one line, and nothing is left", () => {
  const channels = new SimulatedChannel();
  const socket = "connection=socket,name=a,path=/a.sock";
  const { output } = script(
    [
      "xl info free_memory",
      create("connection=pty,name=a"),
      create(socket, "connection=socket,name=b,path=/taken"),
      create(socket, "connection=socket,name=b"),
      "xl list",
      "xl info free_memory",
      "xenstore-ls -f /libxl",
    ],
    { channels },
  );
  expect(output).toContain("connection=pty: there are no pseudo-terminals here; use connection=socket,path=...\n");
  expect(output).toContain("channel b: /taken: Address already in use\n");
  expect(output).toContain("channel connection 'socket' requires path=..\n");
  expect(output).not.toContain("\nticker ");
  const free = output.match(/^\d+$/gm) ?? [];
  expect(free).toHaveLength(2);
  expect(free[1]).toBe(free[0]);
  expect(channels.path).toBeUndefined();
});
