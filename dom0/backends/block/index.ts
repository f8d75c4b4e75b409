// The block backend: disks for guests, kind "vbd". A device's node `params` names what holds the data, a path for the host's
// files (dom0/host/files.ts says which forms there are); `mode` is "r" or "w". One thing is written to by one disk at most:
// within the machine that is seen to here, between processes by the host (dom0/host/image_lock.ts).

import { HostError, type HostFile, type Task } from "../../../guests/sdk/index.ts";
import { hostErrorText } from "../../toolstack/errors.ts";
import { type Backend, type Device, DeviceError } from "../backend.ts";
import { BlockInstance } from "./instance.ts";
import { SECTOR } from "./request.ts";

export { BlockConnection } from "./connection.ts";
export type { Disk } from "./disk.ts";

const TEXTS: Readonly<Record<string, string>> = {
  ENOENT: "No such file or directory",
  EACCES: "Permission denied",
  EPERM: "Operation not permitted",
  EISDIR: "Is a directory",
  EROFS: "Read-only file system",
  EINVAL: "not a size or address that is possible",
  ECONNREFUSED: "Connection refused",
  EBUSY: "already in use by another process",
};

interface Use {
  readonly writable: boolean;
  readonly by: string;
}

export class BlockBackend implements Backend {
  readonly kind = "vbd";
  /** What is open, by the host's identity of it. */
  readonly #uses = new Map<string, Set<Use>>();

  *open(device: Device): Task<BlockInstance> {
    const path = device.read("params") ?? "";
    const writable = device.read("mode") === "w";
    const file = yield* openFile(device, path, writable);
    const uses = file.identity === undefined ? new Set<Use>() : (this.#uses.get(file.identity) ?? new Set());
    const clash = [...uses].find((use) => use.writable || writable);
    const problem =
      file.sizeBytes < SECTOR
        ? `${path}: smaller than a sector`
        : clash && `${path}: already in use by ${clash.by}${clash.writable ? ", which writes to it" : ""}`;
    if (problem !== undefined) {
      yield* file.close();
      throw new DeviceError(problem);
    }
    const use: Use = { writable, by: `domain ${device.domid} as ${device.read("dev") ?? device.devid}` };
    uses.add(use);
    if (file.identity !== undefined) this.#uses.set(file.identity, uses);
    const closed = (): void => {
      uses.delete(use);
      if (uses.size === 0 && file.identity !== undefined) this.#uses.delete(file.identity);
    };
    const discard = device.read("discard-enable") === "1";
    return new BlockInstance(device, file, { writable, discard, closed, sizeNow: () => sizeNow(file) });
  }
}

/** The size that it has by now; undefined for one whose size never changes, or can't be said any more. */
function* sizeNow(file: HostFile): Task<number | undefined> {
  if (file.identity === undefined) return undefined;
  try {
    return yield* file.sizeNow();
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    return undefined;
  }
}

function* openFile(device: Device, path: string, writable: boolean): Task<HostFile> {
  try {
    return yield* device.kernel.host.openDisk(path, writable ? "r+" : "r");
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    throw new DeviceError(`${path}: ${TEXTS[error.code] ?? hostErrorText(error)}`);
  }
}
