// Debian's Linux, unmodified, from its bzImage to init and power-off: what it prints is what it prints on real Xen but for the
// differences listed in differences.ts. Then paused and shut down from outside, and at a shell.

import { createHash } from "node:crypto";
import { afterAll, describe, expect, test } from "vitest";
import { crc32 } from "../../dom0/toolstack/image/checksums.ts";
import { imagePath } from "../../scripts/images/folder.ts";
import { INIT_MARKER } from "../../scripts/images/initramfs.ts";
import { normalized, onlyIn } from "./differences.ts";
import { Configurations, lacking, session, transcript } from "./machine.ts";

const missing = lacking("vmlinuz", "report", "shell");
const configurations = new Configurations();
afterAll(() => configurations.remove());

const DEFAULTS = { kernel: imagePath("vmlinuz"), memory: 256, vcpus: 1 };
const report = { ...DEFAULTS, ramdisk: imagePath("report"), extra: "console=hvc0" };
const shell = { ...DEFAULTS, ramdisk: imagePath("shell"), extra: "console=hvc0 quiet" };
const PROMPT = "xenolith# $";

/** The guest's lines: from the kernel's first to its last. */
function boot(output: string): string {
  const start = output.indexOf("[    0.000000] Linux version");
  const end = output.indexOf("reboot: System halted");
  return start < 0 ? output : output.slice(start, end < 0 ? undefined : end + "reboot: System halted".length);
}

/** Which kernel printed it: Debian's package changes now and then, and what it prints with it. */
function release(lines: string): string | undefined {
  return /Linux version .*/.exec(lines)?.[0];
}

describe.skipIf(missing)(`Linux 6.1${missing ? ` (skipped: ${missing})` : ""}`, () => {
  test.each([
    [1, "linux-6.1-1-vcpu.txt"],
    [2, "linux-6.1-2-vcpus.txt"],
  ])("with %i vcpu boots to init and powers off, as on real Xen", (vcpus, expected) => {
    const config = configurations.write(`linux${vcpus}`, { ...report, vcpus });
    const { status, output, errors } = session([`xl create -c ${config}`, "xl list"]);
    expect(errors).toBe("");
    expect(output).toContain(`\n${INIT_MARKER}\n`);
    const ours = boot(output);
    const real = transcript(expected);
    if (release(ours) === release(real)) {
      expect(onlyIn(normalized(ours), normalized(real)), "printed here, not on real Xen").toEqual([]);
      expect(onlyIn(normalized(real), normalized(ours)), "printed on real Xen, not here").toEqual([]);
    } else console.warn(`${release(ours)} is not the transcript's ${release(real)}: lines are not compared`);
    expect(status).toBe(0);
    expect(output).not.toMatch(/^linux\d /m);
  });

  test("at a shell: pipes, 200 forks, dd, and checksums equal to the host's", () => {
    const config = configurations.write("shell", shell);
    const double = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do cat /tmp/a /tmp/a >/tmp/b; mv /tmp/b /tmp/a; done";
    const commands = [
      "ls -l /proc | head -n 4 | cut -c 1-40",
      "seq 1000 | sort -rn | head -n 1 | tr 0-9 a-j",
      "i=0; while [ $i -lt 200 ]; do (exit 3); i=$((i+$?/3)); done; echo forked $i",
      "dd if=/dev/zero of=/tmp/zero bs=1M count=32 2>&1 | head -n 2; rm /tmp/zero",
      `seq 300 | head -c 1024 >/tmp/a; ${double}; wc -c </tmp/a`,
      "crc32 /tmp/a; md5sum </tmp/a; sha256sum </tmp/a",
      "awk 'BEGIN { for (i = 1; i < 5; i++) print i / 3, i * 1e9, int(7.9 / i) }'",
    ];
    const steps = commands.map(
      (command, i) => `--send "${command}; echo done ${i + 1}" --expect "done ${i + 1}\\n.*# $"`,
    );
    const { status, output, errors } = session([
      `xl create ${config}`,
      `xl console shell --timeout 200 --expect "${PROMPT}" ${steps.join(" ")} --send exit`,
      "xl console shell",
      "xl list",
    ]);
    expect(errors).toBe("");
    const lines = (text: string) =>
      text
        .slice(text.indexOf("xenolith# "))
        .split("reboot:")[0]
        .replace(/\[ *[\d.]+\] $/, "")
        .trimEnd();
    expect(lines(output)).toBe(lines(transcript("linux-6.1-shell.txt")));

    const unit = Array.from({ length: 300 }, (_, i) => `${i + 1}\n`)
      .join("")
      .slice(0, 1024);
    const pattern = Buffer.from(unit.repeat(32768));
    const hash = (name: string) => createHash(name).update(pattern).digest("hex");
    expect(output).toContain(` ${pattern.length}\n`);
    expect(output).toContain(`${crc32(pattern).toString(16).padStart(8, "0")} /tmp/a\n`);
    expect(output).toContain(`\n${hash("md5")}  -\n${hash("sha256")}  -\n`);
    expect(status).toBe(0);
  });

  test("paused it stands still, unpaused it goes on, and xl shutdown ends it", () => {
    const config = configurations.write("paused", shell);
    const loop = "i=0; while [ $i -lt 50 ]; do i=$((i+1)); usleep 100000; done; echo counted $i";
    const { status, output, errors } = session([
      `xl create ${config}`,
      `xl console paused --timeout 200 --expect "${PROMPT}" --send "${loop}"`,
      "xl pause paused",
      "xl list",
      // Nothing comes while it is paused: this one fails, and makes the exit status 1.
      'xl console paused --timeout 4 --expect "counted 50"',
      "xl unpause paused",
      'xl console paused --timeout 200 --expect "counted 50"',
      "xl shutdown -w paused",
      "xl list",
    ]);
    expect(output).toMatch(/^paused +\d+ +256 +1 +--p--- /m);
    expect(output.match(/^xl console: .*/gm)).toEqual(["xl console: /counted 50/ did not appear within 4 s"]);
    expect(errors).toBe("");
    expect(output.match(/^counted 50$/gm)).toHaveLength(1);
    expect(output).toContain("Domain 1 has been shut down, reason code 0\n");
    expect(output.slice(output.lastIndexOf("Domain-0"))).not.toMatch(/^paused /m);
    expect(status).toBe(1);
  });
});
