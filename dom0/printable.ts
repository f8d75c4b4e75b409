// Text from guests, files and people's input on its way to a terminal: nothing in it may move the cursor, change the colours or
// forge further lines. Used by the commands, the shell and whoever logs what a guest wrote.

/** Controls of both sets, line and paragraph separators, and the signs that turn the direction of text. */
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;
const NAMES: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

const escaped = (c: string): string => {
  const code = c.charCodeAt(0);
  return NAMES[c] ?? (code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16)}`);
};

/** The text on one line, with escapes for what is not to be seen. */
export const printable = (text: string): string => text.replace(UNPRINTABLE, escaped);

/** The same for text of several lines, which may have tabs. */
export const printableLines = (text: string): string =>
  text.replace(UNPRINTABLE, (c) => (c === "\n" || c === "\t" ? c : escaped(c)));

/** The same for JSON, whose escapes it takes. */
export const printableJson = (value: unknown): string =>
  JSON.stringify(value).replace(UNPRINTABLE, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);

/** The beginning of a text that may be of any length, to be shown in a message. */
export const clipped = (text: string, max = 80): string => (text.length <= max ? text : `${text.slice(0, max)}...`);
