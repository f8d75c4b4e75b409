// The archives that Linux gets as its initramfs: read back here by the form's own rules, and by cpio where there is one.

import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { type CpioEntry, cpio } from "../../../scripts/images/cpio.ts";
import { INIT_MARKER, initramfs, isStaticElf } from "../../../scripts/images/initramfs.ts";

interface Read {
  path: string;
  mode: number;
  device: string;
  data: string;
}

/** Reads a newc archive: a header of 110 hexadecimal characters, the name, the data, each padded to four bytes. */
function read(archive: Uint8Array): Read[] {
  const bytes = Buffer.from(archive);
  const entries: Read[] = [];
  for (let at = 0; ; ) {
    expect(bytes.toString("latin1", at, at + 6)).toBe("070701");
    const word = (i: number) => Number.parseInt(bytes.toString("latin1", at + 6 + 8 * i, at + 14 + 8 * i), 16);
    const [mode, size, nameSize] = [word(1), word(6), word(11)];
    const path = bytes.toString("utf8", at + 110, at + 110 + nameSize - 1);
    expect(bytes[at + 110 + nameSize - 1]).toBe(0);
    const start = (at + 110 + nameSize + 3) & ~3;
    if (path === "TRAILER!!!") return entries;
    entries.push({ path, mode, device: `${word(9)},${word(10)}`, data: bytes.toString("utf8", start, start + size) });
    at = (start + size + 3) & ~3;
  }
}

const entries: CpioEntry[] = [
  { type: "dir", path: "dev", mode: 0o755 },
  { type: "char", path: "dev/console", mode: 0o600, major: 5, minor: 1 },
  { type: "file", path: "init", mode: 0o755, data: "#!/bin/sh\n" },
  { type: "file", path: "empty", mode: 0o644, data: new Uint8Array(0) },
  { type: "link", path: "sh", target: "bin/busybox" },
  { type: "file", path: "größe", mode: 0o400, data: "ä" },
];

test("every kind of entry can be read back", () => {
  expect(read(cpio(entries))).toEqual([
    { path: "dev", mode: 0o040755, device: "0,0", data: "" },
    { path: "dev/console", mode: 0o020600, device: "5,1", data: "" },
    { path: "init", mode: 0o100755, device: "0,0", data: "#!/bin/sh\n" },
    { path: "empty", mode: 0o100644, device: "0,0", data: "" },
    { path: "sh", mode: 0o120777, device: "0,0", data: "bin/busybox" },
    { path: "größe", mode: 0o100400, device: "0,0", data: "ä" },
  ]);
});

test("the same content gives the same bytes, in whole blocks", () => {
  expect(cpio(entries)).toEqual(cpio(entries));
  expect(cpio(entries).length % 512).toBe(0);
});

test("an absolute path is refused", () => {
  expect(() => cpio([{ type: "dir", path: "/dev", mode: 0o755 }])).toThrow(RangeError);
});

test("cpio lists what was put in", ({ skip }) => {
  const listed = spawnSync("cpio", ["-itv", "--quiet", "--numeric-uid-gid"], {
    input: cpio(entries),
    encoding: "utf8",
  });
  if (listed.error) return skip("there is no cpio here");
  expect(listed.stderr).toBe("");
  expect(listed.stdout).toMatch(/^crw------- +1 0 +0 +5, +1 .* dev\/console$/m);
  expect(listed.stdout).toMatch(/^-rwxr-xr-x +1 0 +0 +10 .* init$/m);
  expect(listed.stdout).toMatch(/^lrwxrwxrwx .* sh -> bin\/busybox$/m);
});

test("both initramfs images start init with the marker, and end with power-off", () => {
  for (const kind of ["report", "shell"] as const) {
    const files = read(initramfs(kind, new TextEncoder().encode("the program")));
    const init = files.find(({ path }) => path === "init");
    expect(init?.mode).toBe(0o100755);
    expect(init?.data.split("\n").slice(0, 2)).toEqual(["#!/bin/busybox sh", `/bin/busybox echo "${INIT_MARKER}"`]);
    expect(init?.data.trimEnd().endsWith("poweroff -f")).toBe(true);
    expect(files.find(({ path }) => path === "bin/busybox")?.data).toBe("the program");
  }
});

test("the init scripts are scripts that a shell can read", ({ skip }) => {
  for (const kind of ["report", "shell"] as const) {
    const init = read(initramfs(kind, new Uint8Array(0))).find(({ path }) => path === "init");
    const checked = spawnSync("sh", ["-n"], { input: init?.data ?? "", encoding: "utf8" });
    if (checked.error) return skip("there is no sh here");
    expect(checked.stderr).toBe("");
  }
});

test("a program that needs a dynamic loader is not taken for a static one", () => {
  const elf = (type: number) => {
    const bytes = new Uint8Array(64 + 56);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, 0x7f454c46);
    bytes[4] = 2;
    view.setUint32(0x20, 64, true);
    view.setUint16(0x36, 56, true);
    view.setUint16(0x38, 1, true);
    view.setUint32(64, type, true);
    return bytes;
  };
  expect(isStaticElf(elf(1))).toBe(true);
  expect(isStaticElf(elf(3))).toBe(false);
  expect(isStaticElf(new TextEncoder().encode("#!/bin/sh"))).toBe(false);
});
