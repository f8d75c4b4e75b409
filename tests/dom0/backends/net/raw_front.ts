// A frontend that writes whatever a test wants into its rings, indexes too, and reads back what the backend answered.

import { expect } from "vitest";
import type { Pages, Task } from "../../../../guests/sdk/index.ts";
import { NetifRxRequest, NetifRxResponse, NetifTxRequest, NetifTxResponse } from "../../../../shared/abi/io/netif.ts";
import { Sring } from "../../../../shared/abi/io/ring.ts";
import type { GrantRef, Pfn } from "../../../../shared/brand.ts";
import { type NetRig, SELF, withNet } from "../../../harness/net.ts";

export const RING = 256;
export const DATA_PAGES = 20;

export interface TxFields {
  readonly gref?: number;
  readonly offset?: number;
  readonly flags?: number;
  readonly id?: number;
  readonly size?: number;
}

export class RawFront {
  readonly #rig: NetRig;
  readonly #rings: Pages;
  readonly #words: Int32Array;
  readonly data: Pages;
  /** Grants of the data pages; the second half readonly. */
  readonly refs: GrantRef[];
  readonly ringRefs: GrantRef[];
  readonly port;
  readonly #devid: number;
  txProd = 0;
  rxProd = 0;

  constructor(rig: NetRig, devid: number) {
    this.#rig = rig;
    this.#devid = devid;
    const { kernel } = rig;
    this.#rings = kernel.allocPages(2);
    this.data = kernel.allocPages(DATA_PAGES);
    this.#words = new Int32Array(this.#rings.bytes.buffer, this.#rings.bytes.byteOffset, 2048);
    const grant = (pages: Pages, i: number, readonly: boolean): GrantRef =>
      kernel.grants.grantAccess(SELF, (pages.pfn + i) as Pfn, readonly);
    this.ringRefs = [0, 1].map((i) => grant(this.#rings, i, false));
    this.refs = Array.from({ length: DATA_PAGES }, (_, i) => grant(this.data, i, i >= DATA_PAGES / 2));
    this.port = kernel.events.allocUnbound(SELF);
  }

  /** Writes the nodes, rings emptied; `over` replaces some. Waits for the backend's answer: its state. */
  *connect(over: Readonly<Record<string, string>> = {}): Task<string> {
    const { store } = this.#rig;
    const path = this.#rig.path(this.#devid);
    this.#rings.bytes.fill(0);
    for (const ring of [0, 1024]) {
      this.#words[ring + Sring.offsets.req_event / 4] = 1;
      this.#words[ring + Sring.offsets.rsp_event / 4] = 1;
    }
    this.txProd = 0;
    this.rxProd = 0;
    const nodes: Record<string, string> = {
      "tx-ring-ref": String(this.ringRefs[0]),
      "rx-ring-ref": String(this.ringRefs[1]),
      "event-channel": String(this.port.port),
      "request-rx-copy": "1",
      "feature-sg": "1",
      ...over,
    };
    for (const [name, value] of Object.entries(nodes)) yield* store.write(`${path}/${name}`, value);
    yield* store.write(`${path}/state`, "4");
    return yield* store.waitFor(this.#back, ["4", "5", "6"]);
  }

  /** Lets the device go and makes it ready for another `connect`. */
  *restart(): Task {
    const { store } = this.#rig;
    const path = this.#rig.path(this.#devid);
    yield* store.write(`${path}/state`, "6");
    yield* store.waitFor(this.#back, ["6"]);
    yield* store.write(`${path}/state`, "1");
    yield* store.waitFor(this.#back, ["2"]);
  }

  get #back(): string {
    return `/local/domain/0/backend/vif/0/${this.#devid}/state`;
  }

  get state(): string | undefined {
    return this.#rig.back("state", this.#devid);
  }

  /** Puts a tx request into the next slot; a whole frame in data page 0 unless said otherwise. */
  tx({ gref = this.refs[0], offset = 0, flags = 0, id = 0, size = 60 }: TxFields): void {
    const at = Sring.size + (this.txProd++ & (RING - 1)) * NetifTxRequest.size;
    const slot = NetifTxRequest.at(this.#rings.view, at);
    slot.gref = gref;
    slot.offset = offset;
    slot.flags = flags;
    slot.id = id;
    slot.size = size;
  }

  /** Puts anything into the next tx slot. */
  txRaw(bytes: Uint8Array): void {
    this.#rings.bytes.set(bytes.subarray(0, 12), Sring.size + (this.txProd++ & (RING - 1)) * NetifTxRequest.size);
  }

  rx(gref: number, id: number): void {
    const at = 4096 + Sring.size + (this.rxProd++ & (RING - 1)) * NetifRxRequest.size;
    const slot = NetifRxRequest.at(this.#rings.view, at);
    slot.id = id;
    slot.gref = gref;
  }

  /** Shows both indexes and sends the event. */
  push(): void {
    Atomics.store(this.#words, Sring.offsets.req_prod / 4, this.txProd | 0);
    Atomics.store(this.#words, 1024 + Sring.offsets.req_prod / 4, this.rxProd | 0);
    try {
      this.port.notify();
    } catch {
      // The backend has shut the ring and closed its end.
    }
  }

  get txResponses(): number {
    return Atomics.load(this.#words, Sring.offsets.rsp_prod / 4) >>> 0;
  }

  get rxResponses(): number {
    return Atomics.load(this.#words, 1024 + Sring.offsets.rsp_prod / 4) >>> 0;
  }

  txResponse(i: number): { id: number; status: number } {
    const at = Sring.size + (i & (RING - 1)) * NetifTxRequest.size;
    const { id, status } = NetifTxResponse.at(this.#rings.view, at);
    return { id, status };
  }

  rxResponse(i: number): { id: number; offset: number; flags: number; status: number } {
    const at = 4096 + Sring.size + (i & (RING - 1)) * NetifRxRequest.size;
    const { id, offset, flags, status } = NetifRxResponse.at(this.#rings.view, at);
    return { id, offset, flags, status };
  }

  /** The bytes of an rx response that is an extra slot. */
  rxExtra(i: number): number[] {
    const at = 4096 + Sring.size + (i & (RING - 1)) * NetifRxRequest.size;
    return [...this.#rings.bytes.subarray(at, at + 8)];
  }

  /** Writes a broadcast frame from interface `devid` at `offset` of data page `page`. */
  frame(page: number, offset = 0, size = 60): void {
    const at = page * 4096 + offset;
    this.data.bytes.fill(0x5a, at, at + size);
    this.data.bytes.set([255, 255, 255, 255, 255, 255, 0, 0x16, 0x3e, 0, 0, this.#devid + 1, 0x88, 0xb5], at);
  }

  /** Ends its side: after the device is gone. */
  close(): void {
    this.port.close();
    const { grants } = this.#rig.kernel;
    for (const ref of [...this.refs, ...this.ringRefs]) if (!grants.endAccess(ref)) throw new Error(`${ref} is held`);
    this.data.free();
    this.#rings.free();
  }
}

/** Runs `body` with a raw frontend of interface 0; nothing may be held afterwards. */
export function withRaw(body: (rig: NetRig, raw: RawFront) => Task): void {
  const machine = withNet(function* (rig): Task {
    yield* rig.attach(0);
    const raw = new RawFront(rig, 0);
    yield* body(rig, raw);
    expect(yield* rig.nics.detach(SELF, 0, true)).toBe(true);
    expect(rig.networks.pool.used).toBe(0);
    raw.close(); // No grant is held any more.
  });
  expect(machine.log).not.toMatch(/thread |event \d/); // No thread of dom0 has failed.
}
