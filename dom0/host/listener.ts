// Listening sockets of the host, for uplinks (net.ts) and channels (channels.ts).

import { existsSync, statSync, unlinkSync } from "node:fs";
import { connect, createServer, type Server, type ServerOpts, type Socket } from "node:net";
import { dirname } from "node:path";
import { fault } from "./raw_file.ts";

/** Where a stream leads to. */
export type Address = { readonly path: string } | { readonly host: string; readonly port: number };

/** Of sockaddr_un, without the final zero: a longer one would be cut short in silence. */
const MAX_PATH = 107;

/**
 * Listens; each new peer is given to `use`. A socket that a process which is gone has left behind is replaced, one that is
 * served, or another file, is not: EADDRINUSE.
 */
export async function listen(
  address: Address,
  use: (socket: Socket) => void,
  options: ServerOpts = {},
): Promise<Server> {
  if ("path" in address) {
    if (Buffer.byteLength(address.path) > MAX_PATH)
      throw fault("ENAMETOOLONG", `a socket's path has at most ${MAX_PATH} bytes`);
    // Node would say EACCES.
    if (!existsSync(dirname(address.path))) throw fault("ENOENT", `no folder for the socket ${address.path}`);
  }
  try {
    return await attempt(address, use, options);
  } catch (error) {
    if (!("path" in address) || (error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    if (!(await isAbandoned(address.path))) throw error;
    unlinkSync(address.path);
    return await attempt(address, use, options);
  }
}

function attempt(address: Address, use: (socket: Socket) => void, options: ServerOpts): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer(options, use);
    server.once("error", reject);
    server.listen(address, () => {
      server.off("error", reject);
      server.on("error", () => {});
      resolve(server);
    });
  });
}

/** A socket at which nobody listens. For another kind of file connecting fails in the same way. */
function isAbandoned(path: string): Promise<boolean> {
  if (!(statSync(path, { throwIfNoEntry: false })?.isSocket() ?? false)) return Promise.resolve(false);
  return new Promise((resolve) => {
    const socket = connect({ path });
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code === "ECONNREFUSED"));
    socket.once("connect", () => {
      socket.destroy();
      resolve(false);
    });
  });
}
