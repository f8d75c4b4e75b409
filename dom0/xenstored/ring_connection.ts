// A guest's connection to xenstored over its ring page (docs/misc/xenstore-ring.txt, public/io/xs_wire.h):
// 1. [FRONT] writes bytes of requests to `req` at req_prod, advances it, sends an event.
// 2. [BACK] copies them from req_cons up to req_prod, advances req_cons, carries the requests out.
// 3. [BACK] writes replies and watch events to `rsp` at rsp_prod as far as there is room, advances it, sends an event.
// 4. [FRONT] takes them, advances rsp_cons, sends an event.
// Indexes that run further than the ring is long, or a payload over 4096 bytes, shut the connection, with the reason in
// `error`; a guest may set `connection` to start afresh. A guest that writes to xenstored's own indexes harms itself only.

import {
  XENSTORE_CONNECTED,
  XENSTORE_ERROR_NONE,
  XENSTORE_ERROR_PROTO,
  XENSTORE_ERROR_RINGIDX,
  XENSTORE_PAYLOAD_MAX,
  XENSTORE_RECONNECT,
  XENSTORE_SERVER_FEATURE_ERROR,
  XENSTORE_SERVER_FEATURE_RECONNECTION,
  XenstoreDomainInterface,
  XS_ERROR,
  XS_WATCH_EVENT,
} from "../../shared/abi/io/xs_wire.ts";
import { ByteRing, RING_BAD, XENSTORE_REQ, XENSTORE_RSP } from "../../shared/ring.ts";
import { encodeMessage, type Message, MessageReader } from "../../shared/xenstore_wire.ts";
import { XsError } from "./errors.ts";
import { XsLimits } from "./limits.ts";
import { handle } from "./requests.ts";
import type { XenStored } from "./server.ts";
import { Session } from "./session.ts";

const WORD = Object.fromEntries(
  Object.entries(XenstoreDomainInterface.offsets).map(([name, offset]) => [name, offset / 4]),
) as Record<keyof typeof XenstoreDomainInterface.offsets, number>;

interface Outgoing {
  readonly bytes: Uint8Array;
  /** The payload of a watch event, for merging; undefined for a reply. */
  readonly event: string | undefined;
}

export class RingConnection {
  readonly session: Session;
  readonly #server: XenStored;
  readonly #requests: ByteRing;
  readonly #replies: ByteRing;
  readonly #words: Int32Array;
  readonly #notify: () => void;
  readonly #wake: () => void;
  readonly #reader = new MessageReader();
  readonly #out: Outgoing[] = [];
  readonly #waitingEvents = new Set<string>();
  #outBytes = 0;
  /** Bytes of the first outgoing message that are on the ring. */
  #sent = 0;
  #shut = false;
  /** Whether the last `#receive` took bytes. */
  #consumed = false;
  /** Events caused by the request that is being carried out. */
  #held: [string, string][] | undefined = undefined;

  /**
   * `page` is the ring's page, 4-byte aligned; `notify` sends the guest an event; `wake` asks for a call of `service`,
   * as something is to be sent that no request of this guest asked for.
   */
  constructor(server: XenStored, domid: number, page: Uint8Array, notify: () => void, wake: () => void) {
    this.#server = server;
    this.#requests = new ByteRing(page, 0, XENSTORE_REQ);
    this.#replies = new ByteRing(page, 0, XENSTORE_RSP);
    this.#words = new Int32Array(page.buffer, page.byteOffset, page.byteLength / 4);
    this.#notify = notify;
    this.#wake = wake;
    this.session = new Session(domid, false, (path, token) => this.#queueEvent(path, token));
    const features = XENSTORE_SERVER_FEATURE_RECONNECTION | XENSTORE_SERVER_FEATURE_ERROR;
    Atomics.store(this.#words, WORD.server_features, features);
  }

  /**
   * Takes requests and gives replies as far as the ring has either. True when more could be done at once. `now` is system time in
   * nanoseconds.
   */
  service(now: () => number = () => 0): boolean {
    const until = now() + XsLimits.turnNs;
    if (this.#load("connection") === XENSTORE_RECONNECT) this.#reconnect();
    if (this.#shut) return false;
    let moved = this.#flush();
    for (let turn = 0; turn < XsLimits.requestsPerTurn && now() <= until; turn++) {
      if (this.#shut || this.#outBytes > XsLimits.pendingBytes) break;
      const message = this.#receive();
      moved ||= this.#consumed;
      if (message === undefined) {
        if (moved && !this.#shut) this.#notify();
        return false;
      }
      this.#answer(message);
      moved = this.#flush() || moved;
    }
    if (moved && !this.#shut) this.#notify();
    return !this.#shut && this.#outBytes <= XsLimits.pendingBytes;
  }

  /** True after the guest broke the protocol, until it reconnects. */
  get isShut(): boolean {
    return this.#shut;
  }

  /** The next whole request, undefined when there is none yet. */
  #receive(): Message | undefined {
    this.#consumed = false;
    for (;;) {
      const n = this.#requests.read(this.#reader.space);
      if (n === RING_BAD) {
        this.#shutDown(XENSTORE_ERROR_RINGIDX);
        return undefined;
      }
      if (n === 0) return undefined;
      this.#consumed = true;
      const state = this.#reader.took(n);
      if (state === "bad") {
        this.#shutDown(XENSTORE_ERROR_PROTO);
        return undefined;
      }
      if (state === "message") return this.#reader.take();
    }
  }

  /** The reply goes out before the events that the request itself caused. */
  #answer({ type, requestId, transaction, payload }: Message): void {
    const held: [string, string][] = [];
    this.#held = held;
    try {
      const reply = handle(this.#server, this.session, type, transaction, payload);
      this.#queue(encodeMessage(type, requestId, transaction, reply), undefined);
    } catch (error) {
      // A fault of ours must cost no other guest its xenstore.
      if (!(error instanceof XsError)) this.#server.report(error);
      const code = error instanceof XsError ? error.code : "EIO";
      this.#queue(encodeMessage(XS_ERROR, requestId, transaction, `${code}\0`), undefined);
    } finally {
      this.#held = undefined;
    }
    for (const [path, token] of held) this.#queueEvent(path, token);
  }

  /** An event equal to one that still waits is not needed; one that is too long can't be sent. */
  #queueEvent(path: string, token: string): void {
    if (this.#held !== undefined) {
      this.#held.push([path, token]);
      return;
    }
    if (this.#shut || this.#waitingEvents.size >= XsLimits.pendingEvents) return;
    const payload = `${path}\0${token}\0`;
    if (payload.length > XENSTORE_PAYLOAD_MAX || this.#waitingEvents.has(payload)) return;
    if (this.#outBytes + payload.length > XsLimits.pendingBytes + XsLimits.pendingEventBytes) return;
    this.#waitingEvents.add(payload);
    this.#queue(encodeMessage(XS_WATCH_EVENT, 0, 0, payload), payload);
    this.#wake();
  }

  #queue(bytes: Uint8Array, event: string | undefined): void {
    this.#out.push({ bytes, event });
    this.#outBytes += bytes.length;
  }

  /** Moves what fits to the ring; true when something moved. */
  #flush(): boolean {
    let moved = false;
    while (this.#out.length > 0) {
      const { bytes, event } = this.#out[0];
      const n = this.#replies.write(bytes.subarray(this.#sent));
      if (n === RING_BAD) {
        this.#shutDown(XENSTORE_ERROR_RINGIDX);
        return false;
      }
      if (n === 0) break;
      if (event !== undefined) this.#waitingEvents.delete(event);
      moved = true;
      this.#sent += n;
      if (this.#sent === bytes.length) {
        this.#out.shift();
        this.#outBytes -= bytes.length;
        this.#sent = 0;
      }
    }
    return moved;
  }

  #shutDown(reason: number): void {
    this.#shut = true;
    this.#discard();
    Atomics.store(this.#words, WORD.error, reason);
    this.#notify();
  }

  #reconnect(): void {
    this.#shut = false;
    this.#discard();
    for (const name of ["req_cons", "req_prod", "rsp_cons", "rsp_prod"] as const)
      Atomics.store(this.#words, WORD[name], 0);
    Atomics.store(this.#words, WORD.error, XENSTORE_ERROR_NONE);
    Atomics.store(this.#words, WORD.connection, XENSTORE_CONNECTED);
    this.#notify();
  }

  #discard(): void {
    this.#server.forget(this.session);
    this.#reader.reset();
    this.#out.length = 0;
    this.#waitingEvents.clear();
    this.#outBytes = 0;
    this.#sent = 0;
  }

  #load(name: keyof typeof WORD): number {
    return Atomics.load(this.#words, WORD[name]) >>> 0;
  }
}
