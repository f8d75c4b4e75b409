// A command line into words, as a simple shell does it: blanks between words, '...' as it stands, "..." with \" and \\,
// a backslash before any other character, and # at the beginning of a word for a comment. No variables, no pipes.

export class WordError extends Error {
  override readonly name = "WordError";
}

/** What joins or redirects commands in larger shells, where it stands for itself, and at a word's end what parts them. */
const SIGN = /^(?:[|&]{1,2}|>{1,2}|<|;)(?=\s|$)/;

/** The words of `line`. Throws WordError for a quote that isn't closed, and for a sign of larger shells that has no quotes. */
export function splitWords(line: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  for (let i = 0; i < line.length; ) {
    const c = line[i];
    if (/\s/.test(c)) {
      if (word !== undefined) words.push(word);
      word = undefined;
      i++;
    } else if (c === "#" && word === undefined) break;
    else if (c === "'" || c === '"') {
      const end = closing(line, i);
      if (end < 0) throw new WordError(`there is no closing ${c}`);
      const inner = line.slice(i + 1, end);
      word = (word ?? "") + (c === '"' ? inner.replace(/\\(["\\])/g, "$1") : inner);
      i = end + 1;
    } else if (c === "\\" && i + 1 < line.length) {
      word = (word ?? "") + line[i + 1];
      i += 2;
    } else {
      const [sign] = (word === undefined || c === ";" ? SIGN.exec(line.slice(i)) : undefined) ?? [];
      if (sign !== undefined) throw new WordError(`"${sign}" means nothing here: one command a line; else quote it`);
      word = (word ?? "") + c;
      i++;
    }
  }
  if (word !== undefined) words.push(word);
  return words;
}

/** Where the quote that opens at `start` closes, -1 if nowhere. */
function closing(line: string, start: number): number {
  const quote = line[start];
  for (let i = start + 1; i < line.length; i++) {
    if (line[i] === quote) return i;
    if (quote === '"' && line[i] === "\\") i++;
  }
  return -1;
}
