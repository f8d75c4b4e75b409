// Node 20 loads no TypeScript in workers: tsx is registered here first. Used by ../block.ts.
import { register } from "tsx/esm/api";

register();
await import("./worker.ts");
