// A person's mistakes and images that can't be booted: each gets one clear line and a status that isn't 0, and the machine
// goes on.

import { readFileSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { BASIC_NOTES, buildElf, join, kernelElf, note } from "../dom0/toolstack/elf_builder.ts";
import { Session, script } from "./session.ts";

const hello = readFileSync("guests/hello/hello.elf");
const page = { paddr: 0n, data: new Uint8Array(4096) };
const notes = { type: 4, data: BASIC_NOTES, memSize: 0n };
const cfg = (kernel: string, more = ""): string => `name = "bad"\nkernel = "${kernel}"\nmemory = 8\n${more}`;

const CASES: [string, string, string | Uint8Array | undefined, string][] = [
  ["no such kernel", cfg("nowhere.elf"), undefined, "kernel nowhere.elf: No such file or directory"],
  ["not an ELF", cfg("k"), "#!/bin/sh\n", "kernel k: is not a kernel image: neither an ELF file"],
  ["an empty file", cfg("k"), "", "kernel k: is not a kernel image"],
  ["a 32-bit ELF", cfg("k"), kernelElf({ class: 1 }), "kernel k: is a 32-bit ELF file; only 64-bit kernels run here"],
  [
    "no Xen notes",
    cfg("k"),
    buildElf({ segments: [page] }),
    "kernel k: has no Xen notes, so it is not a kernel for Xen PV",
  ],
  ["truncated", cfg("k"), hello.subarray(0, 3000), "kernel k: is truncated"],
  [
    "segments that overlap",
    cfg("k"),
    buildElf({ segments: [page, { ...page, paddr: 100n }, notes] }),
    "kernel k: segments overlap",
  ],
  [
    "a segment outside memory",
    cfg("k"),
    buildElf({ segments: [{ ...page, paddr: 1n << 50n }, notes] }),
    "kernel k: has a segment outside memory",
  ],
  [
    "memory too small for the image",
    cfg("k"),
    kernelElf({ segments: [{ ...page, memSize: 1n << 25n }, notes], entry: 0n }),
    "kernel k: needs at least 32 MiB of memory; the domain has 8 MiB",
  ],
  [
    "a hypercall page outside",
    cfg("k"),
    kernelElf({}, join(BASIC_NOTES, note(2, 0n))),
    "kernel k: has its hypercall page 0x0 outside the image",
  ],
  ["a syntax error", 'name = "bad\n', undefined, "bad.cfg:1:8: string has no closing quote"],
  ["no name", 'kernel = "k"', undefined, "bad.cfg: Domain name must be specified"],
  ["a disk", cfg("k", 'disk = [ "x" ]'), undefined, 'bad.cfg:4:10: disk "x": no vdev specified, as in vdev=xvda'],
  ["more memory than is free", cfg("k", "memory = 2000"), hello, "not enough free memory: bad needs 2000 MiB"],
  [
    "a kernel with controls in its name",
    'name = "bad"\nkernel = "\x1b[2J\u009b31m\u202ek"',
    undefined,
    "kernel \\x1b[2J\\x9b31m\\u202ek: No such file or directory",
  ],
  ["a string with a zero byte", 'name = "bad"\nkernel = "k\0"', undefined, "bad.cfg:2:10: a string can't hold the"],
  [
    "an endless item",
    cfg("k", `disk = [ "${"x,".repeat(50_000)}" ]`),
    undefined,
    `bad.cfg:4:10: disk "${"x,".repeat(40)}...": too many positional`,
  ],
  ["an endless word", "x".repeat(200_000), undefined, "bad.cfg:1:1: a name or number of more than 100 characters"],
  ["a command line of too many bytes", cfg("k", `extra = "${"é".repeat(512)}"`), undefined, "longer than 1023 bytes"],
  ["a ramdisk larger than the domain", cfg("k", 'ramdisk = "large"'), hello, "ramdisk large: larger than 8 MiB"],
  ["no ramdisk", cfg("k", 'ramdisk = "nowhere"'), hello, "ramdisk nowhere: No such file or directory"],
];

describe("xl create", () => {
  it.each(CASES)("of %s says so in one line", (_, config, kernel, message) => {
    const files: [string, string | Uint8Array][] = [
      ["bad.cfg", config],
      ["large", new Uint8Array(9 << 20)],
    ];
    if (kernel !== undefined) files.push(["k", kernel]);
    const { status, output, session } = script(
      ["xl info free_memory", "xl create bad.cfg", "xl info free_memory", "xl list", "xenstore-ls /vm"],
      { files, memoryMiB: 64 },
    );
    const lines = output.trimEnd().split("\n");
    expect(lines[2]).toContain(message);
    expect(lines[1]).toBe("Parsing config from bad.cfg");
    expect(lines).toHaveLength(6);
    expect(lines[3]).toBe(lines[0]);
    expect(status).toBe(1);
    expect(session.machine.checker()).toEqual([]);
  });

  it("that lacks a setting tells of those that may be mistyped, and not of thousands", () => {
    const config = `nmae = "bad"\n${Array.from({ length: 5000 }, (_, i) => `x${i} = 1`).join("\n")}`;
    const { output } = script(["xl create -q bad.cfg"], { files: [["bad.cfg", config]] });
    const lines = output.trimEnd().split("\n");
    expect(lines[0]).toBe('bad.cfg:1: warning: unknown setting "nmae" is ignored');
    expect(lines.at(-1)).toBe("bad.cfg: Domain name must be specified");
    expect(lines).toHaveLength(21);
  });

  it("of what is no file, or none that can be a configuration", () => {
    const { output } = script(["xl create -q huge.cfg", "xl create -q folder"], {
      files: [
        ["huge.cfg", new Uint8Array((1 << 20) + 1)],
        ["folder/x", ""],
      ],
    });
    expect(output).toBe(
      "Failed to read config file: huge.cfg: larger than 1 MiB, the most that can be\n" +
        "Failed to read config file: folder: Is a directory\n",
    );
  });

  it("with a name that is taken", () => {
    const { status, output } = script([
      "xl create -p -q guests/hello/hello.cfg",
      "xl create -q guests/hello/hello.cfg",
      "xl domid hello",
    ]);
    expect(output).toBe('Domain with name "hello" already exists.\n1\n');
    expect(status).toBe(1);
  });
});

describe("other commands", () => {
  /** One machine for all: each mistake leaves it fit for the next. */
  let session: Session | undefined;
  afterAll(() => {
    if (session) expect(session.end()).toBe(1);
  });

  it.each([
    ["xl destroy nosuch", "nosuch is an invalid domain identifier (rc=-6)"],
    ["xl list nosuch", "nosuch is an invalid domain identifier (rc=-6)"],
    ["xl list 77", "77 is an invalid domain identifier (rc=-6)"],
    ["xl destroy 0", "Domain 0 can't be destroyed: it is the machine's own."],
    ["xl destroy", "Usage: xl destroy <Domain>"],
    ["xl pause", "Usage: xl pause <Domain>"],
    ["xl shutdown", "You must specify -a or a domain id."],
    ["xl domid nosuch", "Can't get domid of domain name 'nosuch', maybe this domain does not exist."],
    ["xl domname 9", "Can't get domain name of domain id '9', maybe this domain does not exist."],
    ["xl domname x", "Invalid domain id."],
    ["xl create", "Usage: xl create <ConfigFile> [options] [vars]"],
    ["xl create nowhere.cfg", "Failed to read config file: nowhere.cfg: No such file or directory"],
    [
      "xl create guests/hello/hello.cfg memory=x",
      'command line:1:8: expected a value: a number, a string in quotes or a list in brackets, found "x"',
    ],
    ["xl create guests/hello/hello.cfg stray", 'xl create: "stray" is not a setting, as in memory=64'],
    ["xl create -x", "xl create: unknown option -x; see help create"],
    ["xl frobnicate", 'xl: unknown command "frobnicate"; see help'],
    ["xl lsit", 'xl: unknown command "lsit"; did you mean "xl list"?'],
    ["xl detsroy hello", 'xl: unknown command "detsroy"; did you mean "xl destroy"?'],
    ["xenstore-sl /", 'xenstore-sl: unknown command; did you mean "xenstore-ls"?'],
    ["xl \x1b[2J", 'xl: unknown command "\\x1b[2J"; see help'],
    ["\x07\0", "\\x07\\x00: unknown command; see help"],
    [`xl ${"x".repeat(2000)}`, `xl: unknown command "${"x".repeat(80)}..."; see help`],
    ["y".repeat(70_000), "a line of more than 65536 characters is ignored"],
    ["help nothing", 'There is no command "nothing".'],
    ["list", 'list: unknown command; did you mean "xl list"?'],
    ["xl 'list", "syntax error: there is no closing '"],
    ["xl info nothing", 'xl info: there is no "nothing"'],
    ["xenstore-read /nowhere", "xenstore-read: couldn't read path /nowhere: No such file or directory"],
    ["xenstore-read //", "xenstore-read: couldn't read path //: Invalid path"],
    [
      "xenstore-chmod /nowhere n0",
      "xenstore-chmod: Error occurred setting permissions on /nowhere: No such file or directory",
    ],
    ["xenstore-chmod /tool x1", "Invalid permission specification: 'x1'"],
    ["xenstore-chmod /tool", "Usage: xenstore-chmod [-u] [-r] path mode..."],
    ["xenstore-watch -n x /tool", 'xenstore-watch: "x" is no number of events'],
    ["xenstore-watch -n 1 //", "xenstore-watch: Unable to add watch on //: Invalid path"],
    ["xl create -f nowhere.cfg", "Failed to read config file: nowhere.cfg: No such file or directory"],
    ["xenstore-ls /nowhere", "xenstore-ls: /nowhere: No such file or directory"],
    ["xl sched-bvt -w 0 -d 0", 'xl sched-bvt: weight is from 1 to 65535, not "0"'],
    ["xl console 0", "Domain 0 can't be shown: its console is this one: it is the machine's own."],
  ])("%s", (command, message) => {
    session ??= new Session({ files: ["guests/hello/hello.cfg"] });
    session.type(`${command}\nxl domname 0\n`);
    const shown = session.waitFor("Domain-0\n").slice(0, -"Domain-0\n".length);
    expect(shown.replace(/^Parsing config.*\n/, "")).toBe(`${message}\n`);
  });

  it.each(["xl list -h", "xl list --help", "xl help list", "help list", "help xl list"])("%s", (command) => {
    const { output, status } = script([command], { files: [] });
    expect(output).toMatch(/^Usage: xl list \[options\] \[Domain\]\n\nList information about/);
    expect(status).toBe(0);
  });

  it("take lines that end as on other systems, and a last one without an end", () => {
    const { output, status } = script(["xl domname 0\r", "", "\r", "  # nothing"], { files: [] });
    expect([output, status]).toEqual(["Domain-0\n", 0]);
    const session = new Session({ files: [] });
    session.type("xl domname 0");
    expect([session.end(), session.output]).toEqual([0, "Domain-0\n"]);
  });

  it("that fail make the exit status 1, one alone too", () => {
    expect(script(["xl domid nosuch", "xl list"], { files: [] }).status).toBe(1);
    expect(script(["xl list", "exit"], { files: [] }).status).toBe(0);
  });
});
