// What may reach a terminal of text that others wrote.

import { expect, it } from "vitest";
import { clipped, printable, printableJson, printableLines } from "../../dom0/printable.ts";

it("plain text stays as it is, of any language", () => {
  for (const text of ["", "a b", "äöü ß", "日本語", "\u{1f600}", "\\x1b"]) {
    expect(printable(text)).toBe(text);
    expect(printableLines(`${text}\n\t`)).toBe(`${text}\n\t`);
  }
});

it("controls of both sets, separators and signs of direction are shown as escapes", () => {
  expect(printable("\x1b[2J\x07\x7f\x9b1m\r\n\t")).toBe("\\x1b[2J\\x07\\x7f\\x9b1m\\r\\n\\t");
  expect(printable("a\u2028b\u202ec\u2066d\u200f\ufeff")).toBe("a\\u2028b\\u202ec\\u2066d\\u200f\\ufeff");
  expect(printableLines("a\x1b\nb\r\n")).toBe("a\\x1b\nb\\r\n");
});

it("JSON stays the same value", () => {
  const value = ['\x1b\x9b\u202e\n"', "é"];
  expect(printableJson(value)).toBe('["\\u001b\\u009b\\u202e\\n\\"","é"]');
  expect(JSON.parse(printableJson(value))).toEqual(value);
});

it("a long text shows its beginning", () => {
  expect(clipped("x".repeat(80))).toBe("x".repeat(80));
  expect(clipped("x".repeat(81))).toBe(`${"x".repeat(80)}...`);
});
