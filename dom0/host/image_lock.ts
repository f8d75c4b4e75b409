// Keeps two processes from using one image: an advisory lock on the open file (flock(2)), exclusive for a disk that is written to,
// shared for one that is only read. Node has no call for it; util-linux's `flock` takes it on a descriptor that it inherits, and as
// the lock is the open file's it stays until that is closed here, by whatever end of this process. Used by files.ts.
//
// Where there is no such program, or the file system knows no locks, nothing is known of other processes: that is no error.
// Locks of another kind are not seen: qemu's (fcntl's), nor those that a remote file system keeps to one host.

import { spawn } from "node:child_process";

/** What `flock` says when somebody else has a lock that forbids this one; its other statuses are failures. */
const REFUSED = 1;

/** False when another open file, as a rule another process's, has the image. */
export function lockImage(fd: number, exclusive: boolean): Promise<boolean> {
  return new Promise((resolve) => {
    const args = ["-n", exclusive ? "-x" : "-s", "3"];
    const child = spawn("flock", args, { stdio: ["ignore", "ignore", "ignore", fd] });
    child.on("error", () => resolve(true));
    child.on("exit", (status) => resolve(status !== REFUSED));
  });
}
