// Run by tests/dom0/host/tap.test.ts in a network namespace of its own: opens the interface tap0 as an uplink, gives the kernel's
// side of it an address, asks for that by ARP, and prints what came of it, as JSON.

import { execFileSync } from "node:child_process";
import { NodeNet } from "../../dom0/host/net.ts";

const HOST_IP = "0a090801";
const QUESTION = `ffffffffffff00163e0000010806000108000604000100163e0000010a090802000000000000${HOST_IP}`;
const LIMIT = 70_000;

function ip(...args: readonly string[]): string {
  return execFileSync("ip", args, { encoding: "utf8" });
}

/** The first `count` frames that `wanted` likes. */
async function frames(
  net: NodeNet,
  handle: number,
  count: number,
  wanted: (hex: string) => boolean,
): Promise<string[]> {
  const found: string[] = [];
  while (found.length < count) {
    const bytes = Buffer.from(await net.read(handle, LIMIT));
    for (let at = 0; at < bytes.length; ) {
      const end = at + 4 + bytes.readUInt32BE(at);
      const hex = bytes.toString("hex", at + 4, end);
      if (wanted(hex)) found.push(hex);
      at = end;
    }
  }
  return found;
}

function framed(...frames: readonly string[]): Buffer {
  return Buffer.concat(
    frames.flatMap((hex) => {
      const head = Buffer.alloc(4);
      head.writeUInt32BE(hex.length / 2);
      return [head, Buffer.from(hex, "hex")];
    }),
  );
}

async function until(done: () => boolean): Promise<boolean> {
  for (let tries = 0; tries < 1000 && !done(); tries++) await new Promise((resolve) => setTimeout(resolve, 10));
  return done();
}

const code = (error: unknown): unknown => (error as { code?: unknown }).code;

async function probe(): Promise<object> {
  const net = new NodeNet();
  let handle: number;
  try {
    handle = await net.open("tap:tap0");
  } catch (error) {
    return { refused: code(error) };
  }
  const twice = await net.open("tap:tap0").catch(code);
  ip("addr", "add", "10.9.8.1/24", "dev", "tap0");
  ip("link", "set", "tap0", "up");
  const own = /link\/ether (\S+)/.exec(ip("link", "show", "tap0"))?.[1].replaceAll(":", "");
  // One that the interface doesn't take, and two in one piece.
  net.write(handle, framed("00", QUESTION, QUESTION));
  const answers = await frames(net, handle, 2, (hex) => hex.slice(24, 28) === "0806");
  const wanted = `00163e000001${own}08060001080006040002${own}${HOST_IP}00163e0000010a090802`;
  // Somebody takes it away: it is made again.
  ip("link", "delete", "tap0");
  const again = await until(() => ip("link").includes("tap0"));
  net.close(handle);
  const gone = await until(() => !ip("link").includes("tap0"));
  return { twice, right: answers.map((hex) => hex.startsWith(wanted)), again, gone };
}

process.stdout.write(JSON.stringify(await probe()));
