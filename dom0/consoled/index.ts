// The console daemon's public face.

export { ByteQueue } from "./byte_queue.ts";
export { ConsoleDaemon } from "./daemon.ts";
export { ConsoleViewer } from "./viewer.ts";
