// Reading xl.cfg: words, grammar, the typed view, and one clear line with a place for every mistake.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readDomainConfig } from "../../../dom0/toolstack/config/index.ts";
import { parseSettings, type Value } from "../../../dom0/toolstack/config/parser.ts";

const plain = (v: Value): unknown => (v.kind === "text" ? v.text : v.items.map(plain));
const parse = (text: string): Record<string, unknown> =>
  Object.fromEntries([...parseSettings("t.cfg", text)].map(([k, s]) => [k, plain(s.value)]));
const config = (text: string, overrides: string[] = [], warnings: string[] = []) =>
  readDomainConfig("t.cfg", text, overrides, (line) => warnings.push(line));
const GOOD = 'name = "a"\nkernel = "k"\n';

describe("the grammar of xl.cfg", () => {
  it("reads strings in both quotes, numbers, lists over lines, comments and separators", () => {
    expect(
      parse(`# a comment
name = "g1" ; memory=0x20 # another
extra='it\\'s "so"'
disk = [ 'a,b', # inside
  "c",
]
empty=[]
deep = [ [1, 2], ["x"], ]
vcpus = 010; a.b_c1 = "\\x41\\102\\t"`),
    ).toEqual({
      name: "g1",
      memory: "0x20",
      extra: `it's "so"`,
      disk: ["a,b", "c"],
      empty: [],
      deep: [["1", "2"], ["x"]],
      vcpus: "010",
      "a.b_c1": "AB\t",
    });
  });

  it("takes the last of two values and joins with +=", () => {
    expect(parse('a=1\na=2\nb="x"\nb+="y"\nl=[1]\nl+=[2]\nn+="new"\r\n')).toEqual({
      a: "2",
      b: "xy",
      l: ["1", "2"],
      n: "new",
    });
  });

  it.each([
    ['name = "x', "t.cfg:1:8: string has no closing quote"],
    ["\n\nname = x", 't.cfg:3:8: expected a value: a number, a string in quotes or a list in brackets, found "x"'],
    ["name", 't.cfg:1:5: expected "=" or "+=" after name, found the end of the file'],
    ["a = [1, 2", "t.cfg:1:5: list has no closing bracket"],
    ["a = [1 2]", 't.cfg:1:8: expected "," or "]" in a list, found "2"'],
    ["a = 1 b = 2", 't.cfg:1:7: expected the end of the line or ";", found "b"'],
    ["Name = 1", 't.cfg:1:1: "Name" has a capital letter'],
    ["a = 12q", 't.cfg:1:5: "12q" is not a number'],
    ["a = (1)", 't.cfg:1:5: unexpected "("'],
    ['a = "\\q"', "t.cfg:1:6: unknown escape \\q in a string"],
    ['a = "\\0"', "t.cfg:1:6: a string can't hold the character with number 0"],
    ["= 3", 't.cfg:1:1: expected the name of a setting, found "="'],
    ['a=1\na+=["x"]', "t.cfg:2:1: can't add a string to a list or a list to a string"],
    [`a = ${"[".repeat(40)}`, "t.cfg:1:21: lists nest deeper than 16"],
  ])("says what is wrong and where: %j", (text, message) => {
    expect(() => parse(text)).toThrow(message);
  });

  it("never fails with anything but its own error, whatever the text", () => {
    const pieces = fc.constantFrom(
      "a",
      "=",
      "+=",
      "[",
      "]",
      ",",
      ";",
      "\n",
      '"',
      "'",
      "\\",
      "#",
      "0x1",
      " ",
      "\u0000",
      "é",
      "1",
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 40 }), (words) => {
        try {
          parse(words.join(""));
        } catch (e) {
          expect((e as Error).name).toBe("ConfigError");
          expect((e as Error).message).toMatch(/^t\.cfg:\d+:\d+: [^\n]+$/);
        }
      }),
      { numRuns: 500 },
    );
  });

  it("reads back any string that was quoted", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(..."ab\\\"'\n\t #;[]=") }), (s) => {
        const quoted = `"${s.replace(/[\\"]/g, "\\$&").replaceAll("\n", "\\n")}"`;
        expect(parse(`k = ${quoted}`)).toEqual({ k: s });
      }),
    );
  });
});

describe("the typed view", () => {
  it("fills in the defaults of xl", () => {
    expect(config(GOOD)).toMatchObject({
      name: "a",
      kernel: "k",
      memoryMiB: 32,
      maxmemMiB: 32,
      vcpus: 1,
      maxVcpus: 1,
      cmdline: "",
      onPoweroff: "destroy",
      onReboot: "restart",
      onCrash: "destroy",
    });
  });

  it("lets the command line override the file", () => {
    expect(config(`${GOOD}memory=8`, ["memory=16", 'name="b"'])).toMatchObject({ memoryMiB: 16, name: "b" });
    expect(() => config(GOOD, ["name=b"])).toThrow("command line:1:6: expected a value");
  });

  it("joins root and extra, and prefers cmdline with a warning", () => {
    const warnings: string[] = [];
    expect(config(`${GOOD}root="/dev/xvda"\nextra="quiet"`).cmdline).toBe("root=/dev/xvda quiet");
    expect(config(`${GOOD}root="x"\ncmdline="y"`, [], warnings).cmdline).toBe("y");
    expect(warnings).toEqual(["Warning: ignoring root= and extra= in favour of cmdline="]);
  });

  it("warns of names that no xl knows, and only of those", () => {
    const warnings: string[] = [];
    config(`${GOOD}vga="none"\nmemroy=3`, [], warnings);
    expect(warnings).toEqual(['t.cfg:4: warning: unknown setting "memroy" is ignored']);
  });

  it.each([
    ['kernel="k"', "t.cfg: Domain name must be specified"],
    ['name="a"', "t.cfg: kernel must be specified"],
    [`${GOOD}disk=['x']`, 't.cfg:3:7: disk "x": no vdev specified'],
    [`${GOOD}type="hvm"`, 't.cfg:3:6: type "hvm" needs hardware virtualization'],
    [`${GOOD}memory="lots"`, 't.cfg:3:8: parameter "memory" is not a valid number: "lots"'],
    [`${GOOD}memory=0`, "t.cfg:3:8: memory is 0, less than the least, 1"],
    [`${GOOD}memory=99999999999999999999`, "more than the most, 4096"],
    [`${GOOD}memory=[1]`, 't.cfg:3:8: parameter "memory" is a list but should be a single value'],
    [`${GOOD}vcpus=4\nmaxvcpus=2`, "t.cfg:4:10: maxvcpus (2) is less than vcpus (4)"],
    [`${GOOD}maxmem=2`, "t.cfg:3:8: maxmem (2) is less than memory (32)"],
    [`${GOOD}on_crash="explode"`, 't.cfg:3:10: Unknown on_crash action "explode" specified'],
    [`${GOOD}uuid="12"`, "t.cfg:3:6: Failed to parse UUID: 12"],
    ['kernel="k"\nname="17"', "would be taken for a domain id"],
    ['kernel="k"\nname="a/b"', "the domain's name may have letters"],
    [`${GOOD}extra="${"x".repeat(1024)}"`, "t.cfg:3:7: the command line is longer than 1023 bytes"],
  ])("refuses %j", (text, message) => {
    expect(() => config(text)).toThrow(message);
  });

  it("accepts devices that are asked for empty", () => {
    expect(config(`${GOOD}disk=[]\nvif=[ ]\nvnc=0`).name).toBe("a");
  });
});
