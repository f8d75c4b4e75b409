// The one form of every benchmark: what it measures as rows, the machine it ran on, a calibration step by which times
// from different machines compare, a table for people and one JSON object for programs. Called by index.ts; a
// benchmark is a file NAME.ts beside it that exports `run`.

import { cpus } from "node:os";

/** One measured thing. Fields that do not apply are absent. */
export interface Row {
  name: string;
  /** Times are calibrated: see `Context.calibrated`. */
  value: number;
  unit: string;
  /** How many runs the value is the median of; in the table alone. */
  runs?: number;
  /** What the value is compared with: BASELINE's figure, or a peer's in the same run, in the same unit. */
  baseline?: number;
  /** How many times ahead of the baseline. */
  ratio?: number;
  /** What `value` ought to be: at most this, or at least, as `goalIsLeast` says. */
  goal?: number;
  goalIsLeast?: true;
  met?: boolean;
}

export interface Context {
  /** Nanoseconds of one calibration step in this run; `BASELINE_STEP_NS` where the baseline was taken. */
  readonly calibrationNs: number;
  /** A measured time as it would have been on the baseline's machine, in the same unit. */
  calibrated(measured: number): number;
  /** A remark for people, such as why a row is missing; not part of the JSON form. */
  note(line: string): void;
}

export type Bench = (context: Context) => Row[] | Promise<Row[]>;

/** One calibration step on the machine that BASELINE's figures were taken on, ns. */
export const BASELINE_STEP_NS = 0.934;

/** Nanoseconds of one step of `x = Math.imul(x, 1664525) + 1013904223 | 0` in a hot loop: the least of several. */
export function calibrate(): number {
  const steps = 5_000_000;
  let best = Infinity;
  let x = 1;
  for (let run = 0; run < 9; run++) {
    const from = process.hrtime.bigint();
    x = spin(x, steps);
    best = Math.min(best, Number(process.hrtime.bigint() - from) / steps);
  }
  // The result is used, so that the loop is not empty to a compiler.
  return x === 0x7fffffff ? best + 1e-9 : best;
}

function spin(x: number, steps: number): number {
  for (let i = 0; i < steps; i++) x = (Math.imul(x, 1664525) + 1013904223) | 0;
  return x;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

/** Fills in `met` where there is a goal, and rounds what would print digits that mean nothing. */
export function finish(rows: readonly Row[]): Row[] {
  return rows.map(({ goalIsLeast, ...row }) => {
    const met = row.goal === undefined ? {} : { met: goalIsLeast ? row.value >= row.goal : row.value <= row.goal };
    const rounded = { ...row, value: significant(row.value), ...met };
    if (row.ratio !== undefined) rounded.ratio = significant(row.ratio);
    if (row.baseline !== undefined) rounded.baseline = significant(row.baseline);
    return rounded;
  });
}

function significant(value: number): number {
  return Number(value.toPrecision(4));
}

/** "AMD EPYC, 2 cores": what a reader needs to judge absolute figures by. */
export function machine(): string {
  const processors = cpus();
  return `${processors[0]?.model.trim() ?? "unknown processor"}, ${processors.length} cores`;
}

/** The rows as a table with a heading, columns as wide as they need to be. */
export function table(rows: readonly Row[]): string {
  const lines = [["", "value", "unit", "runs", "baseline", "ratio", "goal", "met"]];
  for (const row of rows) {
    const cell = (value: number | undefined) => (value === undefined ? "" : String(value));
    const met = row.met === undefined ? "" : row.met ? "yes" : "NO";
    lines.push([
      row.name,
      cell(row.value),
      row.unit,
      cell(row.runs),
      cell(row.baseline),
      cell(row.ratio),
      cell(row.goal),
      met,
    ]);
  }
  const widths = lines[0].map((_, column) => Math.max(...lines.map((line) => line[column].length)));
  const used = widths.map((_, column) => column < 3 || lines.slice(1).some((line) => line[column] !== ""));
  return lines
    .map((line) =>
      line
        .map((cell, column) =>
          column === 0 || column === 2 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]),
        )
        .filter((_, column) => used[column])
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
