// A domain's maptrack: for each handle that GNTTABOP_map_grant_ref gave it, whose grant it is and how it is mapped. Grows
// in frames of 256 handles up to a limit, so that a guest cannot make the hypervisor's memory grow without bound. Free
// handles are reused last in, first out (which handle a map gets is not part of the ABI).

import type { GrantTable } from "./grant_table.ts";

/** Handles in what Xen counts as one maptrack frame. */
const HANDLES_PER_FRAME = 256;

export class MapTrack {
  /** Handles that exist. */
  limit = 0;
  /** GNTMAP_ flags of what is still mapped; 0: the handle is free. */
  flags = new Uint32Array(0);
  /** Whose grant it is; by object and not by id, for another domain may get the id when this one is gone. */
  readonly remotes: (GrantTable | undefined)[] = [];
  refs = new Uint32Array(0);
  readonly #maxHandles: number;
  readonly #free: number[] = [];

  constructor(maxFrames: number) {
    this.#maxHandles = maxFrames * HANDLES_PER_FRAME;
  }

  /** A free handle, or -1. It is taken only by `set`. */
  take(): number {
    const handle = this.#free.pop();
    if (handle !== undefined) return handle;
    if (this.limit >= this.#maxHandles) return -1;
    const first = this.limit;
    if (first + HANDLES_PER_FRAME > this.flags.length) this.#grow(Math.max(HANDLES_PER_FRAME, first * 2));
    this.limit = first + HANDLES_PER_FRAME;
    for (let h = this.limit - 1; h > first; h--) this.#free.push(h);
    return first;
  }

  set(handle: number, remote: GrantTable, ref: number, flags: number): void {
    this.remotes[handle] = remote;
    this.refs[handle] = ref;
    this.flags[handle] = flags;
  }

  /** Frees a handle. */
  put(handle: number): void {
    this.flags[handle] = 0;
    this.remotes[handle] = undefined;
    this.#free.push(handle);
  }

  #grow(size: number): void {
    const grown = Math.min(size, this.#maxHandles);
    const { flags, refs } = this;
    this.flags = new Uint32Array(grown);
    this.refs = new Uint32Array(grown);
    this.flags.set(flags);
    this.refs.set(refs);
  }
}
