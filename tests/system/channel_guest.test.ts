// A C guest that echoes its channel (tests/guests/channel), in a machine of its own process, against programs of the host at the
// socket: bulk both ways, programs that leave and come again or end their own side, and a guest that restarts under one.

import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RunningSession } from "../harness/running.ts";

const CONFIG = "tests/guests/channel/channel.cfg";
const READY = 'xl console channel --timeout 200 --expect "channel: ready\\n"';
const BULK_BYTES = 3 << 20;
const folder = mkdtempSync(join(tmpdir(), "xenolith-channel-guest-"));
const path = join(folder, "x.sock");

/** Collects what comes until it is `count` bytes, or until the end. */
async function heard(socket: Socket, count: number): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    pieces.push(piece);
    size += piece.length;
    if (size >= count) break;
  }
  return Buffer.concat(pieces);
}

/** A program that is connected; while there is no socket, it tries again. */
async function program(): Promise<Socket> {
  for (;;) {
    const socket = connect({ path, allowHalfOpen: true });
    try {
      await once(socket, "connect");
      return socket;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

async function leave(socket: Socket): Promise<void> {
  const closed = once(socket, "close");
  socket.destroy();
  await closed;
}

describe("a guest's channel", () => {
  let machine: RunningSession;
  let open: Socket[] = [];
  const arrive = async (): Promise<Socket> => {
    const socket = await program();
    open.push(socket);
    return socket;
  };

  beforeAll(async () => {
    const channel = JSON.stringify([`connection=socket,path=${path},name=org.example`]);
    machine = new RunningSession([`xl create -q ${CONFIG} 'channel=${channel}'`, READY], { open: true });
    await machine.shows("channel: ready\n");
  });

  afterAll(async () => {
    for (const socket of open) socket.destroy();
    machine.type("xl destroy channel", "xl list");
    const { errors, status } = await machine.end();
    rmSync(folder, { recursive: true, force: true });
    expect({ errors, status }).toEqual({ errors: "", status: 0 });
  });

  test("takes megabytes there and back, each byte as it was", async () => {
    const socket = await arrive();
    const data = randomBytes(BULK_BYTES);
    socket.write(data);
    const back = await heard(socket, data.length);
    expect(back.equals(data)).toBe(true);
    await leave(socket);
  });

  test("waits for a program that doesn't read, and loses nothing", async () => {
    const socket = await arrive();
    const data = randomBytes(BULK_BYTES);
    let taken = false;
    socket.write(data, () => {
      taken = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 500));
    // All the buffers between are full, and are smaller than this.
    expect(taken).toBe(false);
    expect((await heard(socket, data.length)).equals(data)).toBe(true);
    await leave(socket);
  });

  test("serves a program that comes again, and the next one when it has left", async () => {
    for (const word of ["first", "again"]) {
      const socket = await arrive();
      socket.write(word);
      expect(String(await heard(socket, word.length))).toBe(word);
      await leave(socket);
    }
    const [one, two] = [await arrive(), await arrive()];
    two.write("two");
    one.write("one");
    expect(String(await heard(one, 3))).toBe("one");
    await leave(one);
    expect(String(await heard(two, 3))).toBe("two");
    await leave(two);
  });

  test("gives a program that has ended its own side all that the guest sends", async () => {
    const socket = await arrive();
    const data = randomBytes(BULK_BYTES);
    const finished = once(socket, "finish");
    socket.end(data);
    expect((await heard(socket, data.length)).equals(data)).toBe(true);
    await finished;
    const next = await arrive();
    next.write("next");
    await leave(socket);
    expect(String(await heard(next, 4))).toBe("next");
    await leave(next);
  });

  test("ends when the guest restarts, and is there again for the same program", async () => {
    const before = await arrive();
    before.write("before");
    expect(String(await heard(before, 6))).toBe("before");
    const from = machine.output.length;
    const ended = once(before, "end");
    before.resume();
    machine.type("xl reboot channel");
    await ended;
    await leave(before);
    const after = await arrive();
    after.write("after");
    expect(String(await heard(after, 5))).toBe("after");
    machine.type(READY, "xl channel-list channel");
    await machine.shows(/^1 {3}0 {2}4 +\d+ +\d+ +socket$/m);
    expect(machine.output.slice(from)).not.toMatch(/error|can't/i);
    await leave(after);
    open = [];
  });
});
