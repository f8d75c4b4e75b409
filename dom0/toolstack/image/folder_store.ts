// An ImageStore that is a folder of the host: XDG_CACHE_HOME/xenolith/kernels. The host wires it to the toolstack;
// nothing in a browser imports it. A file appears whole or not at all (it is written under another name first), and a
// folder that can't be written only costs time.

import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import type { ImageStore } from "./cache.ts";

/** Where unpacked kernels are kept unless told otherwise. */
export function kernelCacheFolder(env: Record<string, string | undefined> = process.env): string {
  return join(env.XDG_CACHE_HOME || join(homedir(), ".cache"), "xenolith", "kernels");
}

/** A store in `folder`, which is made when first needed. */
export function folderStore(folder: string = kernelCacheFolder()): ImageStore {
  return {
    get(key) {
      try {
        return readFileSync(join(folder, key));
      } catch {
        return undefined;
      }
    },
    put(key, bytes) {
      const unfinished = join(folder, `.${key}.${process.pid}`);
      try {
        mkdirSync(folder, { recursive: true });
        writeFileSync(unfinished, bytes);
        renameSync(unfinished, join(folder, key));
      } catch {
        // Full, read-only, not a folder: the next start unpacks again, and nothing else is lost.
        try {
          rmSync(unfinished, { force: true });
        } catch {}
      }
    },
  };
}
