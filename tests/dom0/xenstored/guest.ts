// A guest's side of a xenstore ring, and a server with such guests, for tests.

import { RingConnection } from "../../../dom0/xenstored/ring_connection.ts";
import { type OpenConnection, XenStored } from "../../../dom0/xenstored/server.ts";
import {
  XENSTORE_RING_SIZE,
  XenstoreDomainInterface,
  XS_ERROR,
  XS_WATCH_EVENT,
} from "../../../shared/abi/io/xs_wire.ts";
import { encodeMessage } from "../../../shared/xenstore_wire.ts";

export interface Reply {
  type: number;
  requestId: number;
  transaction: number;
  payload: string;
}

export class Guest {
  readonly page = new Uint8Array(new SharedArrayBuffer(4096));
  readonly fields = XenstoreDomainInterface.at(new DataView(this.page.buffer));
  connection!: RingConnection;
  notified = 0;
  closed = false;
  #received: number[] = [];
  #id = 0;

  /** Puts bytes on the ring as far as they fit, serving in between, as a patient guest does. */
  send(bytes: Uint8Array): void {
    for (const byte of bytes) {
      for (let tries = 0; (this.fields.req_prod - this.fields.req_cons) >>> 0 === XENSTORE_RING_SIZE; tries++) {
        if (tries > 100) throw new Error("the ring stays full");
        this.serve();
      }
      this.page[this.fields.req_prod % XENSTORE_RING_SIZE] = byte;
      this.fields.req_prod = (this.fields.req_prod + 1) >>> 0;
    }
  }

  /** Lets xenstored work until it has nothing to do, taking what it sends. */
  serve(): void {
    for (let i = 0; i < 1000; i++) {
      const more = this.connection.service();
      if (!this.#drain() && !more) return;
    }
    throw new Error("xenstored never rests");
  }

  /** Everything received so far that is a whole message. */
  messages(): Reply[] {
    const out: Reply[] = [];
    for (;;) {
      const bytes = this.#received;
      if (bytes.length < 16) return out;
      const view = new DataView(Uint8Array.from(bytes.slice(0, 16)).buffer);
      const length = view.getUint32(12, true);
      if (bytes.length < 16 + length) return out;
      out.push({
        type: view.getUint32(0, true),
        requestId: view.getUint32(4, true),
        transaction: view.getUint32(8, true),
        payload: String.fromCharCode(...bytes.slice(16, 16 + length)),
      });
      this.#received = bytes.slice(16 + length);
    }
  }

  readonly events: string[] = [];

  /** One request and its reply's payload; an error reply comes as "!ENOENT". Events go to `events`. */
  ask(type: number, payload: string, transaction = 0): string {
    const id = ++this.#id;
    this.send(encodeMessage(type, id, transaction, payload));
    this.serve();
    let answer: string | undefined;
    for (const reply of this.messages()) {
      if (reply.type === XS_WATCH_EVENT) this.events.push(reply.payload.replaceAll("\0", " ").trim());
      else if (reply.requestId !== id || reply.transaction !== transaction)
        throw new Error("a reply to something else");
      else if (reply.type === XS_ERROR) answer = `!${reply.payload.slice(0, -1)}`;
      else if (reply.type !== type) throw new Error(`a reply of type ${reply.type}`);
      else answer = reply.payload;
    }
    if (answer === undefined) throw new Error("no reply");
    return answer;
  }

  /** The events that came since the last call. */
  takeEvents(): string[] {
    this.serve();
    for (const reply of this.messages()) this.events.push(reply.payload.replaceAll("\0", " ").trim());
    return this.events.splice(0);
  }

  #drain(): boolean {
    const { rsp_cons, rsp_prod } = this.fields;
    for (let i = rsp_cons; i !== rsp_prod; i = (i + 1) >>> 0)
      this.#received.push(this.page[1024 + (i % XENSTORE_RING_SIZE)]);
    this.fields.rsp_cons = rsp_prod;
    return rsp_cons !== rsp_prod;
  }
}

/** A server whose guests are made when they are introduced. Its own faults are in `faults`. */
export function testServer(): {
  server: XenStored;
  guests: Map<number, Guest>;
  guest(domid: number): Guest;
  faults: unknown[];
} {
  const faults: unknown[] = [];
  const guests = new Map<number, Guest>();
  const open: OpenConnection = (self, domid) => {
    const guest = guests.get(domid) ?? new Guest();
    guests.set(domid, guest);
    guest.connection = new RingConnection(
      self,
      domid,
      guest.page,
      () => guest.notified++,
      () => {},
    );
    return {
      session: guest.connection.session,
      close: () => {
        guest.closed = true;
      },
    };
  };
  const server = new XenStored(open, (error) => faults.push(error));
  return {
    server,
    faults,
    guests,
    guest: (domid) => {
      server.introduce(domid, 0, 1);
      return guests.get(domid)!;
    },
  };
}
