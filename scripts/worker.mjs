// What the machine's worker starts with when nothing is compiled: Node 20 loads no TypeScript in workers, so tsx is registered
// here first. Used by start.mjs.
import { register } from "tsx/esm/api";

register();
await import("../dom0/host/worker.ts");
