// The SDK's ends of the console's and xenstore's rings, against another end made by hand that is slow, splits and mixes what it
// sends, or breaks the protocol.

import { beforeEach, describe, expect, it } from "vitest";
import { Console } from "../../../guests/sdk/console.ts";
import type { Events } from "../../../guests/sdk/events.ts";
import { type Task, Threads } from "../../../guests/sdk/threads.ts";
import { StoreError, XenStore } from "../../../guests/sdk/xenstore.ts";
import * as XS from "../../../shared/abi/io/xs_wire.ts";
import type { Port } from "../../../shared/brand.ts";
import { ByteRing, CONSOLE_IN, CONSOLE_OUT, XENSTORE_REQ, XENSTORE_RSP } from "../../../shared/ring.ts";
import { encodeMessage, type Message, MessageReader } from "../../../shared/xenstore_wire.ts";

const page = new Uint8Array(new SharedArrayBuffer(4096));
const port: { onEvent?: () => void; notify(): void } = { notify: () => notified++ };
const events = { adopt: () => port } as unknown as Events;
let notified = 0;
let threads: Threads;
let failures: unknown[];

beforeEach(() => {
  page.fill(0);
  notified = 0;
  failures = [];
  threads = new Threads(
    () => 0,
    (_, error) => failures.push(error),
  );
});

/** Runs threads until none is ready. */
function settle(): void {
  while (threads.runOne());
}

/** An event from the other end. */
function event(): void {
  port.onEvent?.();
  settle();
}

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const bytes = (s: string): Uint8Array => new TextEncoder().encode(s);

describe("the console", () => {
  const input = new ByteRing(page, 0, CONSOLE_IN);
  const output = new ByteRing(page, 0, CONSOLE_OUT);
  const take = (limit: number): string => {
    const into = new Uint8Array(limit);
    return text(into.subarray(0, output.read(into)));
  };

  it("gives lines, whichever way they end and however they come", () => {
    const console = new Console(events, page, 2 as Port);
    const lines: string[] = [];
    threads.spawn(
      "reader",
      (function* (): Task {
        for (;;) lines.push(yield* console.readLine());
      })(),
    );
    for (const piece of ["one\n", "tw", "o\r", "\nthree\r\r", "\n", "fünf"]) {
      for (const byte of bytes(piece)) {
        input.write(Uint8Array.of(byte));
        event();
      }
    }
    input.write(bytes("!\nsix\nseven"));
    event();
    expect(lines).toEqual(["one", "two", "three", "", "fünf!", "six"]);
    expect(notified).toBeGreaterThan(0);
  });

  it("cuts a line without an end", () => {
    const console = new Console(events, page, 2 as Port);
    const lines: string[] = [];
    threads.spawn(
      "reader",
      (function* (): Task {
        for (;;) lines.push(yield* console.readLine());
      })(),
    );
    for (let i = 0; i < 10; i++) {
      input.write(new Uint8Array(1000).fill(0x78));
      event();
    }
    expect(lines.map((line) => line.length)).toEqual([4096, 4096]);
  });

  it("keeps what its ring has no room for, in order, and drains when all is taken", () => {
    const console = new Console(events, page, 2 as Port);
    let drained = false;
    const all = Array.from({ length: 300 }, (_, i) => `line ${i}`);
    for (const line of all) console.print(line);
    console.write(new Uint8Array(0));
    threads.spawn(
      "drain",
      (function* (): Task {
        yield* console.drain();
        drained = true;
      })(),
    );
    settle();
    let got = "";
    for (let n = 0; n < 100 && !drained; n++) {
      got += take(700);
      event();
    }
    expect(got).toBe(`${all.join("\n")}\n`);
    expect(drained).toBe(true);
  });

  it("waits, and does nothing, when the other end's index can't be", () => {
    const console = new Console(events, page, 2 as Port);
    const read: Uint8Array[] = [];
    threads.spawn(
      "reader",
      (function* (): Task {
        read.push(yield* console.read());
      })(),
    );
    new DataView(page.buffer).setUint32(CONSOLE_IN.prod, 5000, true);
    event();
    expect(read).toEqual([]);
    new DataView(page.buffer).setUint32(CONSOLE_IN.prod, 3, true);
    event();
    expect(read.map((r) => r.length)).toEqual([3]);
  });
});

describe("xenstore", () => {
  const requests = new ByteRing(page, 0, XENSTORE_REQ);
  const replies = new ByteRing(page, 0, XENSTORE_RSP);
  let reader: MessageReader;
  let store: XenStore;

  beforeEach(() => {
    reader = new MessageReader();
    store = new XenStore(events, page, 1 as Port);
  });

  /** The requests that have come whole since the last time. */
  function taken(): Message[] {
    const messages: Message[] = [];
    for (;;) {
      const n = requests.read(reader.space);
      if (n === 0) {
        event();
        if (requests.available() === 0) return messages;
      } else if (reader.took(n) === "message") messages.push(reader.take());
    }
  }

  /** Sends bytes in pieces, an event for each. */
  function send(message: Uint8Array, piece = 1000): void {
    for (let at = 0; at < message.length; ) {
      at += replies.write(message.subarray(at, at + piece));
      event();
    }
  }

  const answer = (request: Message, payload: string, type = request.type): Uint8Array =>
    encodeMessage(type, request.requestId, request.transaction, payload);

  function run<T>(task: () => Task<T>): { value?: T; error?: unknown } {
    const result: { value?: T; error?: unknown } = {};
    threads.spawn(
      "request",
      (function* (): Task {
        try {
          result.value = yield* task();
        } catch (error) {
          result.error = error;
        }
      })(),
    );
    settle();
    return result;
  }

  it("gives each thread its own answer, in whatever order and pieces they come", () => {
    const results = ["a", "b", "c"].map((path) => run(() => store.read(path)));
    const asked = taken();
    expect(asked.map(({ payload }) => payload)).toEqual(["a\0", "b\0", "c\0"]);
    send(encodeMessage(XS.XS_READ, 999, 0, "nobody's"));
    for (const i of [2, 0, 1]) send(answer(asked[i], `value ${i}`), 7);
    expect(results.map(({ value }) => value)).toEqual(["value 0", "value 1", "value 2"]);
  });

  it("errors have their names; no such node is no error where that can be an answer", () => {
    const results = [run(() => store.read("x")), run(() => store.directory("x")), run(() => store.remove("x"))];
    for (const request of taken()) send(answer(request, "ENOENT\0", XS.XS_ERROR));
    expect(results).toEqual([{ value: undefined }, { value: undefined }, { value: undefined }]);
    const refused = run(() => store.write("x", "y"));
    send(answer(taken()[0], "EACCES\0", XS.XS_ERROR));
    expect(refused.error).toBeInstanceOf(StoreError);
    expect(refused.error).toMatchObject({ code: "EACCES", message: "xenstore write of x: EACCES" });
    const long = run(() => store.write("x", "y".repeat(5000)));
    expect(long.error).toMatchObject({ code: "E2BIG" });
  });

  it("a transaction begins again when somebody else was quicker", () => {
    let runs = 0;
    const result = run(() =>
      store.transaction(function* (t) {
        runs++;
        yield* t.write("x", String(runs));
        return runs;
      }),
    );
    for (const ending of ["EAGAIN", ""]) {
      send(answer(taken()[0], `${runs + 10}\0`));
      const [write] = taken();
      expect(write.transaction).toBe(runs + 9);
      send(answer(write, "OK\0"));
      const [end] = taken();
      expect(end).toMatchObject({ type: XS.XS_TRANSACTION_END, transaction: runs + 9, payload: "T\0" });
      send(answer(end, ending === "" ? "OK\0" : `${ending}\0`, ending === "" ? end.type : XS.XS_ERROR));
    }
    expect(result.value).toBe(2);
  });

  it("a watch gives its own events, each once, and none after its end", () => {
    const watch = run(() => store.watch("data"));
    const [request] = taken();
    const token = request.payload.split("\0")[1];
    send(answer(request, "OK\0"));
    send(encodeMessage(XS.XS_WATCH_EVENT, 0, 0, `data/a\0${token}\0`));
    send(encodeMessage(XS.XS_WATCH_EVENT, 0, 0, "data/b\0another\0"));
    send(encodeMessage(XS.XS_WATCH_EVENT, 0, 0, `data/c\0${token}\0`));
    const got = [run(() => watch.value!.next()), run(() => watch.value!.next())];
    expect(got.map(({ value }) => value)).toEqual(["data/a", "data/c"]);
    const closed = run(() => watch.value!.close());
    send(answer(taken()[0], "OK\0"));
    expect("value" in closed).toBe(true);
    send(encodeMessage(XS.XS_WATCH_EVENT, 0, 0, `data/d\0${token}\0`));
    expect(run(() => watch.value!.next()).value).toBeUndefined();
  });

  it("a message that is longer than any may be is the kernel's failure, not a wait for ever", () => {
    const header = encodeMessage(XS.XS_READ, 1, 0, "");
    new DataView(header.buffer).setUint32(12, 5000, true);
    replies.write(header);
    expect(() => port.onEvent?.()).toThrow("xenstored breaks the protocol");
  });
});
