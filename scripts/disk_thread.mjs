// What a disk's thread starts with when nothing is compiled: Node 20 loads no TypeScript in workers, so tsx is registered here
// first. Used by start.mjs and by whoever runs the sources.
import { register } from "tsx/esm/api";

register();
await import("../dom0/host/disk_thread.ts");
