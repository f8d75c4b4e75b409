// The console daemon's public face.

export { ConsoleDaemon } from "./daemon.ts";
export { ConsoleViewer } from "./viewer.ts";
