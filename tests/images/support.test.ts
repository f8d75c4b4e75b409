// docs/SUPPORT.md lists what Linux and GRUB ask of the hypervisor: this holds the list to what a trace of them shows, so that
// nothing they use is answered without somebody having looked at it.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { imagePath } from "../../scripts/images/folder.ts";
import { Configurations, lacking, session } from "./machine.ts";

const missing = lacking("vmlinuz", "report", "grub");
const configurations = new Configurations();
const folder = mkdtempSync(join(tmpdir(), "xenolith-trace-"));
afterAll(() => {
  configurations.remove();
  rmSync(folder, { recursive: true, force: true });
});

/** "kind: name" for each row's entries of the section "What Linux and GRUB ask for". */
function listed(): Set<string> {
  const text = readFileSync(join(import.meta.dirname, "..", "..", "docs", "SUPPORT.md"), "utf8");
  const rows = text
    .slice(text.indexOf("## What Linux and GRUB ask for"))
    .matchAll(/^\| ([^|]+) \| ([^|]+) \| [^|]+ \|$/gm);
  return new Set([...rows].flatMap(([, kind, names]) => names.split(", ").map((name) => `${kind}: ${name}`)));
}

/** Runs commands with a trace, and gives the lines about domain 1. */
function traced(name: string, commands: readonly string[]): string[] {
  const file = join(folder, name);
  const { errors } = session(commands, 900, ["--trace=hypercalls,traps", `--trace-file=${file}`]);
  expect(errors).toBe("");
  return readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => / d1v\d /.test(line));
}

/** What a line of the trace shows to have been asked for, in the words of SUPPORT.md. */
function asked(line: string): string[] {
  const call = /hypercall (\w+)\((?:([A-Za-z]\w*)[ ,)])?/.exec(line);
  if (call) return [`hypercalls: ${call[1]}`, ...(call[2] ? [`${call[1]}: ${call[2]}`] : [])];
  const op = /(?:forced|privileged) (\w+) ?([^;]*?) at 0x\w+ {2}; rax=(\w+) rcx=(\w+) rdx=(\w+)/.exec(line);
  if (!op) return [];
  const [, mnemonic, operands, rax, rcx, rdx] = op;
  const hex = (value: string, mask: bigint): string => `0x${(BigInt(`0x${value}`) & mask).toString(16)}`;
  const port = (): string => {
    const immediate = /([0-9A-F]+)h/.exec(operands);
    return immediate ? hex(immediate[1], 0xffn) : hex(rdx, 0xffffn);
  };
  switch (mnemonic) {
    case "cpuid": {
      const leaf = hex(rax, 0xffffffffn);
      return /^0x4000(?!00)\w\w00$/.test(leaf) ? [] : [`CPUID leaves: ${leaf}`];
    }
    case "rdmsr":
      return [`MSR read: ${hex(rcx, 0xffffffffn)}`];
    case "wrmsr":
      return [`MSR written: ${hex(rcx, 0xffffffffn)}`];
    case "in":
      return [`ports read: ${port()}`];
    case "out":
      return [`ports written: ${port()}`];
    case "mov": {
      const [to, from] = operands.split(",");
      return [/^[cd]r/.test(to) ? `CR written: ${to}` : `CR read: ${from}`];
    }
    default:
      return [`others: ${mnemonic}`];
  }
}

describe.skipIf(missing)(`SUPPORT.md${missing ? ` (skipped: ${missing})` : ""}`, () => {
  test("lists all that Linux and GRUB ask for", () => {
    const linux = configurations.write("linux", {
      kernel: imagePath("vmlinuz"),
      ramdisk: imagePath("report"),
      memory: 256,
      vcpus: 2,
      extra: "console=hvc0",
    });
    const grub = configurations.write("grub", { kernel: imagePath("grub"), memory: 64 });
    const steps = ["ls", "date"].map((text) => `--send ${text} --expect "grub> $"`).join(" ");
    const lines = [
      ...traced("linux", [`xl create -c ${linux}`]),
      ...traced("grub", [`xl create ${grub}`, `xl console grub --timeout 200 --expect "grub> $" ${steps}`]),
    ];
    const seen = new Set(lines.flatMap(asked));
    expect(seen.size).toBeGreaterThan(80);
    const known = listed();
    expect([...seen].filter((name) => !known.has(name)).sort()).toEqual([]);
  });
});
