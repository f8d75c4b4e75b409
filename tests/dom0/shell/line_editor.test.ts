// The line editor as a person at a terminal meets it: keys in, and what a small terminal then shows.

import { describe, expect, it } from "vitest";
import { complete } from "../../../dom0/shell/commands.ts";
import { KeyReader } from "../../../dom0/shell/keys.ts";
import { LineEditor } from "../../../dom0/shell/line_editor.ts";
import { splitWords } from "../../../dom0/shell/words.ts";

/** One line of a terminal: enough of its control sequences to show what the editor writes. */
class Screen {
  line: string[] = [];
  column = 0;
  above: string[] = [];
  bells = 0;

  write(text: string): void {
    for (let i = 0; i < text.length; i++) {
      const rest = text.slice(i);
      const sequence = /^\x1b\[(\d*)(;\d*)?([A-Za-z])/.exec(rest);
      if (sequence) {
        if (sequence[3] === "K") this.line.length = this.column;
        else if (sequence[3] === "D") this.column -= Number(sequence[1] || 1);
        else if (sequence[3] === "J") this.above = [];
        i += sequence[0].length - 1;
      } else if (text[i] === "\r") this.column = 0;
      else if (text[i] === "\n") {
        this.above.push(this.line.join(""));
        this.line = [];
      } else if (text[i] === "\x07") this.bells++;
      else this.line[this.column++] = text[i];
    }
  }
}

function editor(domains: string[] = ["guest1", "guest2"], files: string[] = []) {
  const screen = new Screen();
  const ed = new LineEditor("dom0# ", (line) =>
    complete(
      line,
      () => domains,
      () => files,
    ),
  );
  const keys = new KeyReader();
  screen.write(ed.start());
  const lines: (string | undefined)[] = [];
  return {
    ed,
    screen,
    lines,
    type(text: string) {
      for (const key of keys.feed(new TextEncoder().encode(text))) {
        const { outcome, out } = ed.key(key);
        screen.write(out);
        if (outcome.kind === "editing") continue;
        lines.push(outcome.kind === "line" ? outcome.line : undefined);
        screen.write(ed.start());
      }
      // Whatever was done, the screen shows the line with the cursor where it is.
      expect(screen.line.join("").trimEnd()).toBe(`dom0# ${ed.text}`.trimEnd());
      return this;
    },
  };
}
const UP = "\x1b[A";
const DOWN = "\x1b[B";
const LEFT = "\x1b[D";
const RIGHT = "\x1b[C";

describe("editing", () => {
  it.each([
    ["abc\r", "abc"],
    [`ac${LEFT}b\r`, "abc"],
    [`bc\x01a\x05d\r`, "abcd"],
    ["abx\x7fc\r", "abc"],
    [`abc${LEFT}${LEFT}\x1b[3~\r`, "ac"],
    [`abc def${LEFT}${LEFT}\x0b\r`, "abc d"],
    ["abc def\x15x\r", "x"],
    ["abc def ghi\x17\x17x\r", "abc x"],
    ["abc def\x1bbX\x1bf!\r", "abc Xdef!"],
    [`ab${LEFT}${LEFT}${LEFT}${RIGHT}x\r`, "axb"],
    [`ab\x01\x04\r`, "b"],
    ["ünï\x7f\x7fx\r", "üx"],
    ["a\x1b[200~b\x1bOHc\r", "cab"],
    ["abc\x03", ""],
    ["one\r\n", "one"],
  ])("%j gives %j", (typed, line) => {
    expect(editor().type(typed).lines).toEqual([line]);
  });

  it("ends at Ctrl-D on an empty line only", () => {
    expect(editor().type("\x04").lines).toEqual([undefined]);
    expect(editor().type("a\x04").lines).toEqual([]);
  });

  it("goes through the history and back to what was being typed", () => {
    const e = editor().type("one\rtwo\rtwo\r  \rthr");
    expect(e.type(UP).ed.text).toBe("two");
    expect(e.type(UP).ed.text).toBe("one");
    expect(e.type(UP).ed.text).toBe("one");
    expect(e.type(DOWN + DOWN).ed.text).toBe("thr");
    expect(e.type(DOWN).ed.text).toBe("thr");
    expect(e.type(`${UP}${UP}!\r`).lines.at(-1)).toBe("one!");
    expect(e.ed.history).toEqual(["one", "two", "one!"]);
  });

  it("shows a window of a line that is longer than the terminal", () => {
    const e = editor();
    e.ed.columns = 30;
    const screen = new Screen();
    const keys = new KeyReader();
    for (const key of keys.feed(new TextEncoder().encode(`${"0123456789".repeat(5)}`))) screen.write(e.ed.key(key).out);
    expect(screen.line.join("").length).toBeLessThan(30);
    expect(screen.line.join("").endsWith("789")).toBe(true);
  });
});

describe("completion", () => {
  it("completes a single candidate with a blank, several as far as they agree, and lists them at the second Tab", () => {
    const e = editor().type("xl cr\t");
    expect(e.ed.text).toBe("xl create ");
    const d = editor().type("xl destroy g\t");
    expect(d.ed.text).toBe("xl destroy guest");
    d.type("\t");
    expect(d.screen.bells).toBe(0);
    expect(d.screen.above).toEqual(["dom0# xl destroy guest", "guest1  guest2"]);
    expect(editor().type("nothing\t").screen.bells).toBe(1);
  });

  it("knows commands, options, domains and files", () => {
    const of = (line: string) =>
      complete(
        line,
        () => ["web", "db"],
        () => ["a.cfg", "guests/"],
      ).candidates;
    expect(of("x")).toContain("xl");
    expect(of("xenstore-")).toContain("xenstore-ls");
    expect(of("xl d")).toEqual(["debug-keys", "destroy", "dmesg", "domid", "domname"]);
    expect(of("xl console ")).toEqual(["db", "web"]);
    expect(of("xl create g")).toEqual(["guests/"]);
    expect(of("xl shutdown -")).toContain("--wait");
    expect(of("help cre")).toEqual(["create"]);
    expect(of("xl nonsense ")).toEqual([]);
  });
});

describe("keys", () => {
  it("are put together from pieces, wherever they are cut", () => {
    const bytes = new TextEncoder().encode("a\x1b[A\x1b[1;5Cé\x1bOF\x1b[3~b");
    const whole = new KeyReader().feed(bytes);
    for (let cut = 1; cut < bytes.length; cut++) {
      const reader = new KeyReader();
      expect([...reader.feed(bytes.subarray(0, cut)), ...reader.feed(bytes.subarray(cut))]).toEqual(whole);
    }
    expect(whole).toHaveLength(7);
  });
});

it("controls of the second set, and signs that turn the direction of text, are no keys", () => {
  const keys = new KeyReader().feed(new TextEncoder().encode("a\u009b31mb\u202ec\u2028d"));
  expect(keys.map((key) => ("text" in key ? key.text : key.name)).join("")).toBe("a31mbcd");
});

describe("words", () => {
  it.each([
    ["xl create -c a.cfg", ["xl", "create", "-c", "a.cfg"]],
    ["  a   b\t", ["a", "b"]],
    [`xl create x 'name="b c"'`, ["xl", "create", "x", `name="b c"`]],
    [`a"b c"'d e'f`, ["ab cd ef"]],
    [`"a\\"b\\\\" a\\ b`, [`a"b\\`, "a b"]],
    ["a # comment", ["a"]],
    ["a#b '#' c", ["a#b", "#", "c"]],
    ["# all", []],
    [`''`, [""]],
  ])("%j", (line, words) => {
    expect(splitWords(line)).toEqual(words);
  });
  it("need their quotes closed", () => {
    expect(() => splitWords(`a "b`)).toThrow('there is no closing "');
    expect(() => splitWords("a 'b")).toThrow("there is no closing '");
  });
  it.each([
    ["xl list | cat", "|"],
    ["xl list > file", ">"],
    ["xl list 2>&1", undefined],
    ["xl list; xl list", ";"],
    ["xl list ; xl list", ";"],
    ["xl list && xl list", "&&"],
    ["xl shutdown a &", "&"],
    ["xl create a.cfg memory=8;vcpus=2", undefined],
    [`a '|' ">" \\; 'b;'`, undefined],
  ])("%j: what another shell would do with its signs is not done silently", (line, sign) => {
    if (sign === undefined) expect(splitWords(line).length).toBeGreaterThan(2);
    else expect(() => splitWords(line)).toThrow(`"${sign}" means nothing here`);
  });
});
