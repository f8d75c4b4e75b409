// Debian's Linux on the virtual clock, with its hot code compiled and without: what it prints, the time, and every byte of the
// machine's memory behind the hypervisor's own are the same.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { imagePath } from "../../scripts/images/folder.ts";
import { INIT_MARKER } from "../../scripts/images/initramfs.ts";
import { Session } from "../system/session.ts";
import { lacking } from "./machine.ts";

const missing = lacking("vmlinux", "report");

function boot(hotTier: boolean): { output: string; now: number; memory: string; regions: number } {
  const config = { name: "linux", kernel: "vmlinux", ramdisk: "report.cpio", extra: "console=hvc0", memory: 128 };
  const lines = Object.entries(config).map(([key, value]) => `${key} = ${JSON.stringify(value)}\n`);
  const files = [
    ["vmlinux", readFileSync(imagePath("vmlinux"))],
    ["report.cpio", readFileSync(imagePath("report"))],
    ["linux.cfg", lines.join("")],
  ] as const;
  const session = new Session({ memoryMiB: 512, files });
  const { hv } = session.machine;
  hv.x86.regions.enabled = hotTier;
  session.type("xl create -c linux.cfg\n");
  session.waitFor(INIT_MARKER, 1e8);
  const memory = createHash("sha256").update(hv.memory.u8.subarray(hv.memory.firstFree * 4096));
  const regions = hv.x86.regions.compiled;
  return { output: session.output, now: hv.time.now(), memory: memory.digest("hex"), regions };
}

test.skipIf(missing)(
  "Linux boots the same, instruction for instruction, with and without the hot tier",
  () => {
    const hot = boot(true);
    expect(hot.regions).toBeGreaterThan(10);
    expect(hot).toEqual({ ...boot(false), regions: hot.regions });
  },
  900_000,
);
