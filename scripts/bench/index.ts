// npm run bench -- NAME [--json]: runs scripts/bench/NAME.ts and prints its rows in the one form of form.ts. Without a
// name it lists what there is. The exit status is 1 when a benchmark fails to run, and 0 even when a goal is missed:
// a figure is to be read, not to fail a build on somebody's busy machine.

import { readdirSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { BASELINE_STEP_NS, type Bench, type Context, calibrate, finish, machine, table } from "./form.ts";

const notBenches = new Set(["index", "form", "session"]);

function names(): string[] {
  return readdirSync(dirname(fileURLToPath(import.meta.url)))
    .filter((file) => file.endsWith(".ts"))
    .map((file) => file.slice(0, -3))
    .filter((name) => !notBenches.has(name))
    .sort();
}

async function main(): Promise<number> {
  const args = process.argv.slice(2);
  const json = args.includes("--json");
  const [name, ...more] = args.filter((arg) => arg !== "--json");
  if (name === undefined || more.length > 0 || !names().includes(name)) {
    if (name !== undefined)
      console.error(`bench: ${more.length > 0 ? "one name at a time" : `no benchmark "${name}"`}`);
    console.error(`usage: npm run bench -- NAME [--json]; NAME is one of: ${names().join(", ")}`);
    return 2;
  }
  const { run } = (await import(`./${name}.ts`)) as { run: Bench };
  const calibrationNs = calibrate();
  const notes: string[] = [];
  const context: Context = {
    calibrationNs,
    calibrated: (measured) => (measured * BASELINE_STEP_NS) / calibrationNs,
    note: (line) => notes.push(line),
  };
  const rows = finish(await run(context));
  const node = process.version;
  if (json) {
    for (const row of rows) delete row.runs;
    const step = Number(calibrationNs.toPrecision(4));
    console.log(JSON.stringify({ bench: name, machine: machine(), node, calibrationNs: step, rows }));
    return 0;
  }
  console.log(`${name}: ${machine()}, Node ${node}, calibration step ${calibrationNs.toFixed(3)} ns`);
  console.log(table(rows));
  for (const line of notes) console.log(line);
  return 0;
}

process.exitCode = await main();
