// `npm start`: starts the machine's worker first, so that its modules load while the main thread's do, then the main thread's
// part (dom0/host/main.ts). Plain JavaScript, so that nothing need be compiled before it runs.
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { Worker } from "node:worker_threads";
import { compiled } from "./modules.mjs";

// Later engines may not have these, and would say so.
if (Number.parseInt(process.versions.node, 10) <= 24)
  for (const flag of [
    // The hot tier says which branches are hardly ever taken: a fifth faster.
    "--experimental-wasm-branch-hinting",
    // An exit goes through some forty small functions, of which half stay calls with the usual limit of 920 bytes of bytecode: an
    // event to oneself takes a third longer. The more of it, the longer the compiling: at 4000 Linux boots a tenth slower.
    "--max-inlined-bytecode-size-cumulative=2500",
  ])
    setFlagsFromString(flag);
const root = dirname(dirname(fileURLToPath(import.meta.url)));
process.setSourceMapsEnabled(true);
const urls = await compiled(root, ["dom0/host/worker", "dom0/host/main", "dom0/host/disk_thread"]);
const worker = new Worker(urls ? new URL(urls[0]) : new URL("./worker.mjs", import.meta.url), {
  execArgv: ["--enable-source-maps"],
});
if (!urls) (await import("tsx/esm/api")).register();
const { main } = await import(urls ? urls[1] : "../dom0/host/main.ts");
const diskThread = urls ? new URL(urls[2]) : new URL("./disk_thread.mjs", import.meta.url);
await main(worker, process.argv.slice(2), root, diskThread);
