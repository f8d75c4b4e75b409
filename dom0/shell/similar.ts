// The word that was probably meant: for a command that was mistyped. By the number of letters to add, leave out, change or
// swap with the next (optimal string alignment).

/** The nearest of `words`, undefined when none is near: half of the letters or more would be others. */
export function similar(typed: string, words: readonly string[]): string | undefined {
  if (typed.length > 30) return undefined;
  let best: string | undefined;
  let least = Infinity;
  for (const word of words) {
    const n = distance(typed, word);
    if (n >= least || n > 2 || n * 2 >= Math.max(typed.length, word.length)) continue;
    least = n;
    best = word;
  }
  return best;
}

function distance(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const changed = rows[i - 1][j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(changed, rows[i - 1][j] + 1, row[j - 1] + 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        row[j] = Math.min(row[j], rows[i - 2][j - 2] + 1);
    }
    rows.push(row);
  }
  return rows[a.length][b.length];
}
