// The network frontend in C behind `npm run bench -- net`: two guests at a bridge, every byte compared; and a byte that isn't right, or
// a peer that isn't there, is told of. On the virtual clock; how fast it is, is for the bench to say.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { dom0Kernel } from "../../../dom0/kernel.ts";
import { elfPath, root } from "../../../scripts/guests/build.ts";
import { Dom0Machine } from "../../harness/dom0.ts";

const FOLDER = "guests/bench/net";

/** Boots guests with these command lines one after the other, the last at the terminal: what that one said. */
function boot(...lines: readonly string[]): string[] {
  const cfg = readFileSync(join(root, FOLDER, "net.cfg"), "utf8");
  const elf = readFileSync(join(root, elfPath(FOLDER)));
  const machine = new Dom0Machine({
    main: dom0Kernel(),
    memoryMiB: 96,
    dom0MemoryMiB: 32,
    files: { "net.cfg": cfg, [elfPath(FOLDER)]: elf },
  });
  const create = (i: number, options: string): string =>
    `xl create ${options} -q net.cfg 'name="net${i}"' 'extra="${lines[i]}"'\n`;
  const last = lines.length - 1;
  for (let i = 0; i < last; i++)
    machine.host.type(`${create(i, "")}xl console net${i} --timeout 60 --expect "is ready\\n"\n`);
  machine.host.type(`xenstore-write /mark 1\nxenstore-read /mark\n${create(last, "-c")}xl list\n`);
  for (let i = 0; i < last; i++) machine.host.type(`xl shutdown -w net${i}\n`);
  machine.host.type("xl list\n");
  machine.host.endInput();
  machine.runToExit();
  expect(machine.machine.checker()).toEqual([]);
  const { output } = machine.host;
  expect(output.slice(output.lastIndexOf("Name "))).not.toContain("net");
  return output
    .slice(output.indexOf("\n1\n") + 3, output.lastIndexOf("\nName "))
    .split("\nName ")[0]
    .trimEnd()
    .split("\n");
}

const sent = (frames: number, bytes: number): string =>
  `^net: sent ${frames} frames of ${bytes} bytes: [1-9]\\d* frames/s, \\d+ Mbit/s, `;

test("a stream that keeps pace with its sink arrives whole, round after round", () => {
  const lines = boot(
    "mode=sink ip=10.0.0.2 verify=1",
    "mode=stream ip=10.0.0.1 peer=10.0.0.2 verify=1 count=700 rounds=2 window=64",
  );
  expect(lines[0]).toBe("net: stream is ready");
  for (const line of lines.slice(1, 3)) expect(line).toMatch(new RegExp(`${sent(700, 1500)}700 arrived$`));
  expect(lines.slice(3)).toEqual(["net: end"]);
});

test("of a stream as fast as it can be, what arrives is right", () => {
  const lines = boot(
    "mode=sink ip=10.0.0.2 verify=1",
    "mode=stream ip=10.0.0.1 peer=10.0.0.2 verify=1 count=1000 window=0 size=300",
  );
  const arrived = new RegExp(`${sent(1000, 300)}(\\d+) arrived$`).exec(lines[1])?.[1];
  expect(Number(arrived)).toBeGreaterThan(0);
});

test("a frame that isn't as it was sent is told of", () => {
  const lines = boot(
    "mode=sink ip=10.0.0.2 verify=1",
    "mode=stream ip=10.0.0.1 peer=10.0.0.2 verify=0 count=50 window=16",
  );
  expect(lines[1]).toMatch(new RegExp(`${sent(50, 1500)}50 arrived, 50 WRONG$`));
});

test("an echo sends back what it gets, and so does a sink", () => {
  for (const mode of ["echo", "sink"]) {
    const lines = boot(`mode=${mode} ip=10.0.0.2`, "mode=ping ip=10.0.0.1 peer=10.0.0.2 count=30 size=1000 verify=1");
    expect(lines[1]).toMatch(/^net: 30 round trips of 1000 bytes: median [1-9]\d* ns, 99% [1-9]\d* ns, 0 lost$/);
  }
});

test("mistakes and a peer that isn't there are told of", () => {
  for (const [line, says] of [
    ["mode=ping ip=10.0.0.1 peer=10.0.0.9", "net: nobody has the address 10.0.0.9"],
    ["mode=sing ip=10.0.0.1", "net: mode is stream, sink, ping or echo"],
    ["mode=sink", "net: ip= is missing"],
    ["mode=stream ip=10.0.0.1", "net: peer= is missing"],
    ["mode=stream ip=10.0.0.1 peer=10.0.0.2 size=20", "net: size is 60 to 4000"],
  ])
    expect(boot(line)).toContain(says);
});
