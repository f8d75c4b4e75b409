// A domU's xenstore: requests and watches over the ring that xenstored serves (docs/misc/xenstore.txt and xenstore-ring.txt of
// Xen, public/io/xs_wire.h). Requests of several threads go out in order, and each waits for its own answer; errors are thrown
// as StoreError. `kernel.store` makes it. Paths are relative to the domain's own folder unless they begin with a slash.

import {
  XENSTORE_PAYLOAD_MAX,
  XS_DIRECTORY,
  XS_ERROR,
  XS_MKDIR,
  XS_READ,
  XS_RM,
  XS_TRANSACTION_END,
  XS_TRANSACTION_START,
  XS_UNWATCH,
  XS_WATCH,
  XS_WATCH_EVENT,
  XS_WRITE,
} from "../../shared/abi/io/xs_wire.ts";
import type { Port } from "../../shared/brand.ts";
import { ByteRing, XENSTORE_REQ, XENSTORE_RSP } from "../../shared/ring.ts";
import { encodeMessage, type Message, MessageReader, toByteString, toText } from "../../shared/xenstore_wire.ts";
import type { FrontStore } from "./block_front.ts";
import type { EventPort, Events } from "./events.ts";
import { Channel, Mutex, type Task, WaitQueue } from "./threads.ts";

/** What xenstored answered instead: `code` is "ENOENT", "EACCES", "EAGAIN" and the like. */
export class StoreError extends Error {
  override readonly name = "StoreError";
  readonly code: string;
  constructor(what: string, code: string) {
    super(`xenstore ${what}: ${code}`);
    this.code = code;
  }
}

/** A watch on a node and all below it. */
export interface Watch {
  /** Waits for the next change: the path that changed. The first comes at once. Undefined when `timeoutNs` passed first. */
  next(timeoutNs?: number): Task<string | undefined>;
  close(): Task;
}

/** The calls that work on the store as it is and, the same, in a transaction. */
export class StoreView {
  protected readonly connection: Connection;
  protected readonly transactionId: number;

  constructor(connection: Connection, transactionId: number) {
    this.connection = connection;
    this.transactionId = transactionId;
  }

  /** The value, undefined when there is no such node. */
  *read(path: string): Task<string | undefined> {
    const reply = yield* this.#orMissing(this.#call(`read of ${path}`, XS_READ, `${path}\0`));
    return reply === undefined ? undefined : toText(reply);
  }

  /** The children's names, undefined when there is no such node. */
  *directory(path: string): Task<string[] | undefined> {
    const reply = yield* this.#orMissing(this.#call(`directory of ${path}`, XS_DIRECTORY, `${path}\0`));
    return reply?.split("\0").slice(0, -1);
  }

  /** Writes, making what is missing above. */
  *write(path: string, value: string): Task {
    yield* this.#call(`write of ${path}`, XS_WRITE, `${path}\0${toByteString(value)}`);
  }

  /** Makes an empty node, unless there is one. */
  *mkdir(path: string): Task {
    yield* this.#call(`mkdir of ${path}`, XS_MKDIR, `${path}\0`);
  }

  /** Removes the node and all below it; nothing when there is none. */
  *remove(path: string): Task {
    yield* this.#orMissing(this.#call(`removal of ${path}`, XS_RM, `${path}\0`));
  }

  *#call(what: string, type: number, payload: string): Task<string> {
    return yield* this.connection.call(what, type, this.transactionId, payload);
  }

  *#orMissing(call: Task<string>): Task<string | undefined> {
    try {
      return yield* call;
    } catch (error) {
      if (error instanceof StoreError && error.code === "ENOENT") return undefined;
      throw error;
    }
  }
}

export class XenStore extends StoreView implements FrontStore {
  /** `page` is the ring's page, `port` xenstore's event channel, as start_info names them. */
  constructor(events: Events, page: Uint8Array, port: Port) {
    super(new Connection(events, page, port), 0);
  }

  /** Watches a node and all below it. */
  *watch(path: string): Task<Watch> {
    const { connection } = this;
    const events = new Channel<string>();
    const token = connection.addWatch(events);
    const target = `${path}\0${token}\0`;
    yield* connection.call(`watch of ${path}`, XS_WATCH, 0, target);
    return {
      next: (timeoutNs) => events.receive(timeoutNs),
      *close() {
        yield* connection.call(`end of the watch of ${path}`, XS_UNWATCH, 0, target);
        connection.removeWatch(token);
      },
    };
  }

  /** Waits until the node's value is one of `values`; which. */
  *waitFor(path: string, values: readonly string[]): Task<string> {
    const watch = yield* this.watch(path);
    try {
      for (;;) {
        yield* watch.next();
        const value = yield* this.read(path);
        if (value !== undefined && values.includes(value)) return value;
      }
    } finally {
      yield* watch.close();
    }
  }

  /** Carries out `body` as one change: again from the beginning when somebody else's came between. */
  *transaction<T>(body: (view: StoreView) => Task<T>): Task<T> {
    for (;;) {
      const id = Number.parseInt(yield* this.connection.call("transaction", XS_TRANSACTION_START, 0, "\0"), 10);
      let whole = false;
      try {
        const result = yield* body(new StoreView(this.connection, id));
        whole = true;
        yield* this.connection.call("end of a transaction", XS_TRANSACTION_END, id, "T\0");
        return result;
      } catch (error) {
        if (!whole) yield* this.connection.call("end of a transaction", XS_TRANSACTION_END, id, "F\0");
        else if (error instanceof StoreError && error.code === "EAGAIN") continue;
        throw error;
      }
    }
  }
}

/** The ring: messages out and in. */
class Connection {
  readonly #requests: ByteRing;
  readonly #replies: ByteRing;
  readonly #port: EventPort;
  readonly #reader = new MessageReader();
  readonly #sending = new Mutex();
  readonly #moved = new WaitQueue();
  readonly #answers = new Map<number, Message | undefined>();
  readonly #watches = new Map<string, Channel<string>>();
  #nextRequest = 1;
  #nextToken = 1;

  constructor(events: Events, page: Uint8Array, port: Port) {
    this.#requests = new ByteRing(page, 0, XENSTORE_REQ);
    this.#replies = new ByteRing(page, 0, XENSTORE_RSP);
    this.#port = events.adopt(port);
    this.#port.onEvent = () => {
      this.#receive();
      this.#moved.wakeAll();
    };
  }

  /** One request and its answer's payload. Throws StoreError; `what` is for its message. */
  *call(what: string, type: number, transaction: number, payload: string): Task<string> {
    if (payload.length > XENSTORE_PAYLOAD_MAX) throw new StoreError(what, "E2BIG");
    const id = this.#nextRequest;
    this.#nextRequest = (id % 0x7fffffff) + 1;
    this.#answers.set(id, undefined);
    try {
      yield* this.#sending.run(() => this.#send(encodeMessage(type, id, transaction, payload)));
      yield* this.#moved.until(() => this.#answers.get(id) !== undefined);
      const answer = this.#answers.get(id) as Message;
      if (answer.type === XS_ERROR) throw new StoreError(what, answer.payload.replace(/\0.*$/s, ""));
      return answer.payload;
    } finally {
      this.#answers.delete(id);
    }
  }

  addWatch(events: Channel<string>): string {
    const token = String(this.#nextToken++);
    this.#watches.set(token, events);
    return token;
  }

  removeWatch(token: string): void {
    this.#watches.get(token)?.close();
    this.#watches.delete(token);
  }

  *#send(bytes: Uint8Array): Task {
    for (let at = 0; at < bytes.length; ) {
      const n = this.#requests.write(bytes.subarray(at));
      if (n < 0) throw new StoreError("ring", "EIO");
      at += n;
      if (n > 0) this.#port.notify();
      if (at < bytes.length) yield* this.#moved.until(() => this.#requests.space() !== 0);
    }
  }

  #receive(): void {
    let taken = 0;
    for (;;) {
      const n = this.#replies.read(this.#reader.space);
      if (n <= 0) break;
      taken += n;
      const state = this.#reader.took(n);
      if (state === "bad") throw new Error("xenstored breaks the protocol: a message that is too long");
      if (state === "message") this.#dispatch(this.#reader.take());
    }
    if (taken > 0) this.#port.notify();
  }

  #dispatch(message: Message): void {
    if (message.type === XS_WATCH_EVENT) {
      const [path, token] = message.payload.split("\0");
      this.#watches.get(token)?.send(path);
    } else if (this.#answers.has(message.requestId)) this.#answers.set(message.requestId, message);
  }
}
