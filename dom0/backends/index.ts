// Backends: their public face.
export { type Backend, type Device, DeviceError, type Instance, type Nodes } from "./backend.ts";
export { Backends } from "./backends.ts";
export { BlockBackend } from "./block/index.ts";
export { ServedRing } from "./served_ring.ts";
