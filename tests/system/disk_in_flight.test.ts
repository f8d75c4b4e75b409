// A domain that is destroyed while the host works for its disk: its pages stay until the host is done with them, however long that
// takes, and then none is missing. The guest is a real one, the host one that can be told to be slow.

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { dom0Kernel } from "../../dom0/kernel.ts";
import { Dom0Machine } from "../harness/dom0.ts";

const GUEST = "tests/guests/disk/disk";

/** A machine with the guest's files and an image; what its host moves is held back while `holding`. */
class SlowMachine extends Dom0Machine {
  holding = false;
  readonly held: (() => void)[] = [];
  #typed = 0;

  constructor() {
    super({ main: dom0Kernel(), memoryMiB: 128, dom0MemoryMiB: 16 });
    for (const path of [`${GUEST}.cfg`, `${GUEST}.elf`]) this.host.disk.set(path, readFileSync(path));
    this.host.disk.set("image", new Uint8Array(4 << 20));
    for (const name of ["read", "write"] as const) {
      const real = this.host[name].bind(this.host) as (...args: unknown[]) => unknown;
      const slow = (...args: unknown[]): unknown =>
        this.holding && args.length > 1
          ? // biome-ignore lint/suspicious/noThenProperty: a promise that is kept when the test says so, in the same turn.
            { then: (ok: (n: unknown) => void) => void this.held.push(() => ok(real(...args))) }
          : real(...args);
      Object.assign(this.host, { [name]: slow });
    }
  }

  /** Types a command, and gives what it prints. */
  command(line: string): string {
    const end = `end ${++this.#typed}`;
    const from = this.host.output.length;
    this.host.type(`${line}\nxenstore-write /end "${end}"\nxenstore-read /end\n`);
    this.runUntil(() => this.host.output.indexOf(`${end}\n`, from) >= 0);
    return this.host.output.slice(from, this.host.output.indexOf(`${end}\n`, from));
  }

  get freeFrames(): number {
    return this.machine.hv.frames.freeFrames;
  }
}

const CREATE = `xl create -q ${GUEST}.cfg 'disk=["image,raw,xvda,rw"]'`;
const RUN = 'xl console disk --timeout 60 --expect "flushed [0-9]+\\n"';
const DOM0_ALONE = /^Name .*\nDomain-0 .*\n$/;

test("a domain destroyed with requests in flight: no page is freed early, and none is lost", () => {
  const machine = new SlowMachine();
  /** The guest writes and reads its disk for a while. */
  const begin = (): void => {
    expect(machine.command(CREATE)).toBe("");
    expect(machine.command(RUN)).toMatch(/flushed \d+\n$/);
  };
  // The first one leaves what dom0 keeps for the next.
  begin();
  expect(machine.command("xl destroy disk")).toBe("");
  const free = machine.freeFrames;
  for (let round = 0; round < 3; round++) {
    begin();
    machine.holding = true;
    machine.runUntil(() => machine.held.length >= 8);
    expect(machine.command("xl destroy disk")).toBe("");
    // It is dying: of its memory there is still what the host moves data to and from.
    expect(machine.command("xl list")).toMatch(/^\(null\) +\d+ .*d /m);
    const kept = free - machine.freeFrames;
    expect(kept).toBeGreaterThan(machine.held.length);
    expect(kept).toBeLessThan(1000);
    expect(machine.machine.checker()).toEqual([]);
    machine.holding = false;
    // Another domain takes memory meanwhile; the image is still in use.
    expect(machine.command(CREATE)).toMatch(
      /^disk xvda: image: already in use by domain \d+ as xvda, which writes to it\n$/,
    );
    expect(machine.command(`xl create -q ${GUEST}.cfg`)).toBe("");
    for (const release of machine.held.splice(0)) release();
    expect(machine.command("xl list")).not.toContain("(null)");
    expect(machine.command("xl destroy disk")).toBe("");
    expect(machine.command("xl list")).toMatch(DOM0_ALONE);
    expect([machine.freeFrames, machine.machine.checker()]).toEqual([free, []]);
  }
  expect(machine.log).not.toMatch(/thread |event \d/);
});
