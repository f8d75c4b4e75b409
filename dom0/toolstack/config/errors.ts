// The one error of configuration reading: a person's mistake at a place (STYLE 18). Thrown by lexer.ts, parser.ts and
// domain_config.ts, printed as one line by xl.

export class ConfigError extends Error {
  override readonly name = "ConfigError";

  /** `line` and `column` from 1; 0 for a mistake that has no place, such as a missing key. */
  constructor(file: string, line: number, column: number, what: string) {
    super(line > 0 ? `${file}:${line}:${column}: ${what}` : `${file}: ${what}`);
  }
}

/** A mistake in one item of a list, such as a disk: `message` says which; the reader of the list adds the place. */
export class ItemError extends Error {
  override readonly name = "ItemError";
}
