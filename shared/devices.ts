// The machine's devices as dom0 and the host see them: pairs of a submission and a completion queue in frames of machine
// memory that belong to DOMID_IO, so that only a privileged domain can map them. Host files, the terminal and logs are
// behind queue 0; each of the others has the data of one disk, served by a thread of its own, while OpenedFile says so.
// Data moves by DMA: a request names machine addresses, the host reads and writes the frames.
//
// The protocol, for each queue. Indexes are counts that never wrap back within 2^32; entry i of a queue of N is at i mod N.
// 1. [DOM0] writes request submitTail, then stores submitTail + 1. At most N requests are outstanding.
// 2. [DOM0] takes hostIdle from 1 to 0 by compare-and-exchange; if it was 1, or `ringAlways` is set, it rings:
//    `out DOORBELL_PORT` with the queue's number. For the host to sleep on `hostIdle` until then, [XEN] notifies it.
// 3. [HOST] copies requests from submitHead to submitTail, checks them, stores submitHead. When it finds none, it stores
//    1 in hostIdle and looks once more before it sleeps.
// 4. [HOST] writes completion completeTail, then stores completeTail + 1, sets the line's bit in `lines` and adds to
//    `doorbell`, which wakes the machine. Requests complete in any order, each exactly once.
// 5. [XEN] takes `lines` by exchange with 0 and raises the physical interrupts; [DOM0] gets the event, reads completions
//    from completeHead to completeTail, stores completeHead, and handles them in the order of their requests.
// On the virtual clock what the host's own timing decides must not show: ringAlways is set, and a fixed time after a ring
// the hypervisor waits until the host has nothing left to do that ends by itself (`busy`), before it takes `lines`.
// Neither side trusts the other's indexes: a distance above N is refused.

import { i32, struct, u16, u32, u64 } from "./abi/struct.ts";

/** Machine frame of the words between the host and the hypervisor; no domain's to map. */
export const DEVICE_CONTROL_MFN = 1;
/** First machine frame of the queues, of DOMID_IO: of each the header, then submissions, then completions. */
export const DEVICE_QUEUE_MFN = 2;
/** Of one queue. */
export const DEVICE_QUEUE_FRAMES = 4;
/** Queue 0, and as many disks as can have a queue and a thread (9 MiB) of their own; further ones use queue 0. */
export const DEVICE_QUEUES = 9;
/** First frame of queue `n`. */
export const queueMfn = (n: number): number => DEVICE_QUEUE_MFN + n * DEVICE_QUEUE_FRAMES;
/** Frames below this one belong to the devices themselves: no DMA goes there. */
export const FIRST_DMA_MFN = queueMfn(DEVICE_QUEUES);
/** Physical interrupt of the queues, for EVTCHNOP_bind_pirq. */
export const DEVICE_PIRQ = 16;
/** I/O port, 32 bits wide: a write of a queue's number tells the host that there are requests. */
export const DOORBELL_PORT = 0x500;

export const QUEUE_MAGIC = 0x31716478;
export const QUEUE_ENTRIES = 128;

/** Byte offsets in the control frame; i32 each. */
export const ControlLayout = {
  /** [HOST] adds and notifies; the machine sleeps on it. */
  doorbell: 0,
  /** [HOST] sets bits, [XEN] takes them: physical interrupts 0 to 31. */
  lines: 4,
  /** [XEN] 1 while the machine runs, 0 while it sleeps on `doorbell`. */
  running: 8,
  /** [XEN] counts turns of the main loop: the host's watchdog looks at it. */
  heartbeat: 12,
  /** [HOST] how many requests it has taken that end by themselves, unlike one for a person's next key. */
  busy: 16,
  /** [HOST] 1: dom0 has asked for the machine's end. */
  stop: 20,
  size: 32,
} as const;

/** Byte offsets from the first queue frame; i32 each but where the queues begin. A cache line for each writer. */
export const QueueLayout = {
  magic: 0,
  entries: 4,
  /** [XEN] 1: every request rings. */
  ringAlways: 8,
  submitTail: 0x40,
  submitHead: 0x80,
  completeTail: 0xc0,
  completeHead: 0x100,
  hostIdle: 0x140,
  submissions: 0x1000,
  completions: 0x3000,
  size: 0x4000,
} as const;

/** A request. [DOM0] */
export const DeviceRequest = struct("device_request", 64, {
  id: u32(0), // echoed in the completion
  op: u16(4), // DeviceOp
  segments: u16(6), // 0: data is at `address`; else `address` is that of so many device_segments
  handle: u32(8), // of an open file
  inputBytes: u32(12), // with structured requests: bytes of msgpack at the start of the data, the reply takes its place
  position: u64(16), // in the file
  address: u64(24), // machine address
  sizeBytes: u32(32), // of the data in all
});

/** One piece of scattered data: consecutive machine addresses. */
export const DeviceSegment = struct("device_segment", 16, {
  address: u64(0),
  sizeBytes: u32(8),
});
/** A list of segments lies within one page. */
export const MAX_SEGMENTS = 256;

/** A completion. [HOST] */
export const DeviceCompletion = struct("device_completion", 16, {
  id: u32(0),
  status: i32(4), // bytes, a handle, 0, or a negative XEN_ errno
});

export const DeviceOp = {
  /**
   * { path, mode, disk } → OpenedFile: the reply in msgpack, its length the status. mode "r", "w" (truncates) or "r+". A path may
   * also name a disk that isn't a file: "ram:64M", "nbd:unix:/path", "nbd://host:port/name" (mode "r" or "r+"). With `disk` true
   * it will be read and written a lot, and may get a queue of its own.
   */
  FileOpen: 1,
  /** Data from `position` → bytes read, fewer only at the end of the file. */
  FileRead: 2,
  /** Data to `position` → bytes written. */
  FileWrite: 3,
  FileClose: 4,
  /** { path } → FileInfo. */
  FileStat: 5,
  /** { path } → string[]: names in a directory, folders with a slash. */
  FileList: 6,
  /** { name } in the first inputBytes, then text: appended to the log file of that name. ENODEV when no logs are kept. */
  LogAppend: 7,
  /** → TerminalInfo. */
  TtyInfo: 8,
  /** Waits for input → bytes read, 0 at the end of input. One at a time. */
  TtyRead: 9,
  /** Data to the terminal → bytes written. */
  TtyWrite: 10,
  /** Waits until the window changes its size → TerminalInfo. */
  TtyResize: 11,
  /** `handle` is the exit status. Ends the machine. */
  Exit: 12,
  /** → HostConfig. */
  Config: 13,
  /** Returns when all writes that were completed before are on stable storage (fdatasync). */
  FileSync: 14,
  /** `address` is a length in bytes: from `position` on so much is no longer needed, and reads as zeros. EOPNOTSUPP. */
  FileDiscard: 15,
  /** { handle } → { size }: bytes that the file or device has by now, an export when its server was last met. */
  FileSize: 16,
  /**
   * { path } → KernelModule, in msgpack: the module at that path and all that it imports as one text (script_image.ts). ENODEV on
   * a machine that runs no kernels in TypeScript.
   */
  KernelBundle: 17,
  /**
   * { spec } → OpenedNet, in msgpack: a stream of Ethernet frames to a neighbour outside of the machine (dom0/host/net.ts has the
   * forms). ENODEV where nothing outside can be reached.
   */
  NetOpen: 32,
  /**
   * Waits for frames → bytes: whole frames, each after its length (32 bits, big-endian), as many as there are and fit; 0 at
   * the end of the stream. One at a time for a handle.
   */
  NetRead: 33,
  /** Frames in the same form → bytes. What the neighbour is too slow for is dropped. */
  NetWrite: 34,
  NetClose: 35,
  /**
   * { path } → a handle: bytes to and from a program of the host at a listening unix socket of that path. One program at a
   * time, others wait for their turn.
   */
  ChannelOpen: 48,
  /** Waits for bytes of whoever is connected → how many, 0 when the channel is closed. One at a time for a handle. */
  ChannelRead: 49,
  /** Waits until somebody is connected and has room → bytes written. */
  ChannelWrite: 50,
  /** The data, if any, goes to whoever is connected, who then sees the end. */
  ChannelClose: 51,
} as const;
export type DeviceOp = (typeof DeviceOp)[keyof typeof DeviceOp];

export interface FileInfo {
  readonly kind: "file" | "directory" | "block" | "other";
  readonly size: number;
  readonly mtimeMs: number;
}

/** What FileOpen answers. */
export interface OpenedFile {
  readonly handle: number;
  /** Bytes; of a block device its capacity. */
  readonly size: number;
  /** The same for two paths to one file or device; undefined: nothing else can be the same. */
  readonly identity?: string;
  /** FileRead and FileWrite may go to this queue as well until FileClose; all else of this handle goes to queue 0. */
  readonly queue?: number;
}

/** What NetOpen answers, or why it can't be, in a line. */
export type OpenedNet = { readonly handle: number } | { readonly error: string };

/** What KernelBundle answers: the module's text is read like a file of `size` bytes; or what is wrong with it, in a line. */
export type KernelModule = OpenedModule | { readonly error: string };
export interface OpenedModule {
  /** What the text is called in stack traces. */
  readonly name: string;
  readonly handle: number;
  readonly size: number;
}

export interface TerminalInfo {
  /** Whether standard input is a terminal, in raw mode then. */
  readonly isTTY: boolean;
  /** Whether standard output is one. */
  readonly outputIsTTY: boolean;
  readonly columns: number;
  readonly rows: number;
  /** Whether colours are wanted (a terminal, and NO_COLOR isn't set). */
  readonly colour: boolean;
}

export interface HostConfig {
  readonly version: string;
  /** Whether LogAppend keeps anything. */
  readonly logs: boolean;
  /** What the machine's bridges are joined to, from its command line. */
  readonly uplinks?: readonly UplinkConfig[];
  /** Bridges whose traffic is captured. */
  readonly captures?: readonly CaptureConfig[];
}

/** A capture of a bridge into a file of the host. */
export interface CaptureConfig {
  readonly bridge: string;
  readonly file: string;
}

/** An uplink: `spec` is for NetOpen. */
export interface UplinkConfig {
  readonly bridge: string;
  readonly spec: string;
}
