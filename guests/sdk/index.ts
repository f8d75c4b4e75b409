// The SDK's public face: what a kernel in TypeScript is written with. See kernel.ts for how one starts.
export type { DomId, GrantRef, Mfn, Pfn, Port, Va } from "../../shared/brand.ts";
export { PageFault } from "../../shared/kernel.ts";
export { Arena, type Buffer } from "./arena.ts";
export type { BlockBuffer } from "./block_buffers.ts";
export { BlockError, BlockFront, type BlockFrontOptions, type FrontStore } from "./block_front.ts";
export { Clock } from "./clock.ts";
export { Console } from "./console.ts";
export type { Completion } from "./device_queue.ts";
export { type DmaGrants, DmaMappings } from "./dma_grants.ts";
export { type EventPort, Events } from "./events.ts";
export { GrantError, type GrantedPages, Grants } from "./grants.ts";
export {
  type FileInfo,
  Host,
  type HostChannel,
  HostError,
  HostFile,
  HostNet,
  type TerminalInfo,
} from "./host.ts";
export { type Device, Kernel, kernelMain } from "./kernel.ts";
export { PAGE_SIZE, type Pages } from "./pages.ts";
export { type Segment, SegmentList } from "./segments.ts";
export {
  Channel,
  Mutex,
  type Suspend,
  sleep,
  type Task,
  Thread,
  Threads,
  WaitQueue,
  waitAny,
  yieldNow,
} from "./threads.ts";
export type { Mapping } from "./window.ts";
export { errnoName, type MmuUpdateEntry, Xen, XenError } from "./xen.ts";
export { StoreError, type StoreView, type Watch, XenStore } from "./xenstore.ts";
