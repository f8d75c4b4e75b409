// Channels at unix sockets: programs that come late, go and come again, wait for their turn, or are slow.

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { NodeChannels } from "../../../dom0/host/channels.ts";
import { HostLimits } from "../../../dom0/host/limits.ts";

const folder = mkdtempSync(join(tmpdir(), "xenolith-channel-"));
const channels = new NodeChannels();
afterAll(() => {
  channels.closeAll();
  rmSync(folder, { recursive: true, force: true });
});
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const NONE = new Uint8Array(0);

/** What a program gets until the end, or until it has `count` bytes. */
function heard(socket: Socket, count = Infinity): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    socket.on("data", (data) => {
      text += data;
      if (text.length >= count) resolve(text);
    });
    socket.on("end", () => resolve(text));
  });
}

/** Sends its last words and goes. */
function leave(socket: Socket, text: string): void {
  socket.end(text, () => socket.destroy());
}

/** A program that ends its own side after `text`, and still listens. */
function asker(path: string, text: string): Socket {
  const socket = connect({ path, allowHalfOpen: true });
  socket.end(text);
  return socket;
}

async function read(handle: number, count: number): Promise<string> {
  let text = "";
  while (text.length < count) text += Buffer.from(await channels.read(handle, 4096)).toString();
  return text;
}

describe("a channel's socket", () => {
  test("holds what is written until somebody connects; the next program is served when the first has gone", async () => {
    const path = join(folder, "turns.sock");
    const handle = await channels.open(path);
    const written = channels.write(handle, bytes("early"));
    const first = connect(path);
    expect(await heard(first, 5)).toBe("early");
    await written;
    const second = connect(path);
    second.write("from the second");
    leave(first, "from the first; ");
    expect(await read(handle, 31)).toBe("from the first; from the second");
    await channels.write(handle, bytes("for the second"));
    const all = heard(second);
    channels.close(handle, bytes(", and the last"));
    expect(await all).toBe("for the second, and the last");
    expect(existsSync(path)).toBe(false);
  });

  test("serves a program that has ended its own side until it closes, then the next", async () => {
    const path = join(folder, "half.sock");
    const handle = await channels.open(path);
    const first = asker(path, "question");
    expect(await read(handle, 8)).toBe("question");
    const answer = heard(first, 3);
    await channels.write(handle, bytes("ans"));
    expect(await answer).toBe("ans");
    const second = connect(path);
    second.write("and");
    const reading = channels.read(handle, 10);
    let served = false;
    void reading.then(() => {
      served = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 250));
    expect(served).toBe(false);
    // Nothing of what the guest says from now on is for one who has gone, seen or not.
    first.destroy();
    await new Promise((resolve) => first.once("close", resolve));
    await channels.write(handle, bytes("for the second"));
    expect(await heard(second, 14)).toBe("for the second");
    expect(Buffer.from(await reading).toString()).toBe("and");
    channels.close(handle, NONE);
    second.destroy();
  });

  test("sees that a program which had ended its side has gone, though the guest is silent", async () => {
    const path = join(folder, "silent.sock");
    const handle = await channels.open(path);
    const first = asker(path, "1");
    expect(await read(handle, 1)).toBe("1");
    const second = connect(path);
    second.write("2");
    first.destroy();
    expect(await read(handle, 1)).toBe("2");
    // One that sends its last words and closes before anybody looks has gone too: what is written waits.
    const gone = new Promise((resolve) => second.once("close", resolve));
    leave(second, "3");
    expect(await read(handle, 1)).toBe("3");
    await gone;
    const written = channels.write(handle, bytes("kept"));
    const third = connect(path);
    expect(await heard(third, 4)).toBe("kept");
    await written;
    channels.close(handle, NONE);
    third.destroy();
  });

  test("gives the last bytes to a program that had ended its side", async () => {
    const path = join(folder, "last.sock");
    const handle = await channels.open(path);
    const program = asker(path, "q");
    expect(await read(handle, 1)).toBe("q");
    const all = heard(program);
    const writing = channels.write(handle, bytes("one, "));
    await writing;
    channels.close(handle, bytes("two"));
    expect(await all).toBe("one, two");
  });

  test("makes each side wait for the other", async () => {
    const path = join(folder, "slow.sock");
    const handle = await channels.open(path);
    const program = connect(path);
    program.pause();
    // A program that doesn't read: a write is not done before it does.
    let done = 0;
    const piece = new Uint8Array(4096).fill(65);
    const pieces = Array.from({ length: 500 }, () => channels.write(handle, piece).then(() => done++));
    await pieces[0];
    await new Promise((resolve) => setImmediate(resolve));
    expect(done).toBeLessThan(500);
    const all = heard(program, 500 * 4096);
    program.resume();
    expect((await all).length).toBe(500 * 4096);
    await Promise.all(pieces);
    // A guest that doesn't read: the program's bytes stay with it.
    const big = Buffer.alloc(4 << 20, "z");
    let taken = false;
    program.write(big, () => {
      taken = true;
    });
    expect((await channels.read(handle, 100)).length).toBeGreaterThan(0);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(taken).toBe(false);
    let got = 100;
    while (got < big.length) got += (await channels.read(handle, 65536)).length;
    channels.close(handle, NONE);
    program.destroy();
  });

  test("a read ends when the channel is closed, and a write that nobody took", async () => {
    const handle = await channels.open(join(folder, "closed.sock"));
    const [reading, writing] = [channels.read(handle, 10), channels.write(handle, bytes("x"))];
    channels.close(handle, NONE);
    expect(await reading).toHaveLength(0);
    await writing;
    expect(() => channels.read(handle, 10)).toThrow(expect.objectContaining({ code: "EBADF" }));
  });

  test("takes the place of one that a dead process has left, but of nothing else", async () => {
    const path = join(folder, "left.sock");
    const leave = `require("net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`;
    spawnSync(process.execPath, ["-e", leave]);
    expect(existsSync(path)).toBe(true);
    const handle = await channels.open(path);
    await expect(channels.open(path)).rejects.toMatchObject({ code: "EADDRINUSE" });
    channels.close(handle, NONE);
    writeFileSync(path, "a file");
    await expect(channels.open(path)).rejects.toMatchObject({ code: "EADDRINUSE" });
    await expect(channels.open(`/tmp/${"x".repeat(110)}`)).rejects.toMatchObject({ code: "ENAMETOOLONG" });
    await expect(channels.open(join(folder, "none", "x.sock"))).rejects.toMatchObject({ code: "ENOENT" });
  });

  test("there are so many at once", async () => {
    const handles: number[] = [];
    for (let i = 0; i < HostLimits.channels; i++) handles.push(await channels.open(join(folder, `${i}.sock`)));
    await expect(channels.open(join(folder, "more.sock"))).rejects.toMatchObject({ code: "EMFILE" });
    for (const handle of handles) channels.close(handle, NONE);
  });
});
