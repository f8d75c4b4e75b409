// Messages of the xenstore protocol as bytes (public/io/xs_wire.h): a 16-byte header, then up to 4096 bytes. Used by both ends of
// a guest's ring: xenstored's (dom0/xenstored/ring_connection.ts) and the SDK's (guests/sdk/xenstore.ts). Payloads become
// byte strings, one character for each byte.

import { XENSTORE_PAYLOAD_MAX, XsdSockmsg } from "./abi/io/xs_wire.ts";

export interface Message {
  readonly type: number;
  readonly requestId: number;
  readonly transaction: number;
  readonly payload: string;
}

export function encodeMessage(type: number, requestId: number, transaction: number, payload: string): Uint8Array {
  const bytes = new Uint8Array(XsdSockmsg.size + payload.length);
  const header = XsdSockmsg.at(new DataView(bytes.buffer));
  header.type = type;
  header.req_id = requestId;
  header.tx_id = transaction;
  header.len = payload.length;
  for (let i = 0; i < payload.length; i++) bytes[XsdSockmsg.size + i] = payload.charCodeAt(i);
  return bytes;
}

/** Puts messages together from pieces of a byte stream. */
export class MessageReader {
  readonly #buffer = new Uint8Array(XsdSockmsg.size + XENSTORE_PAYLOAD_MAX);
  readonly #header = XsdSockmsg.at(new DataView(this.#buffer.buffer));
  #filled = 0;

  /** Where the next bytes go, up to the end of the header, then of the message; tell how many by `took`. */
  get space(): Uint8Array {
    return this.#buffer.subarray(this.#filled, this.#end());
  }

  /** Counts `n` bytes as put into `space`. Returns "bad" when the header announces too long a payload. */
  took(n: number): "more" | "message" | "bad" {
    this.#filled += n;
    if (this.#filled < XsdSockmsg.size) return "more";
    if (this.#header.len > XENSTORE_PAYLOAD_MAX) return "bad";
    return this.#filled === this.#end() ? "message" : "more";
  }

  /** Takes the message that `took` announced. */
  take(): Message {
    const { type, req_id, tx_id } = this.#header;
    let payload = "";
    for (let i = XsdSockmsg.size; i < this.#filled; i++) payload += String.fromCharCode(this.#buffer[i]);
    this.#filled = 0;
    return { type, requestId: req_id, transaction: tx_id, payload };
  }

  /** Forgets a message that has begun. */
  reset(): void {
    this.#filled = 0;
  }

  #end(): number {
    return this.#filled < XsdSockmsg.size ? XsdSockmsg.size : XsdSockmsg.size + this.#header.len;
  }
}

/** UTF-8 bytes of a text, one character for each byte. */
export function toByteString(text: string): string {
  let s = "";
  for (const byte of new TextEncoder().encode(text)) s += String.fromCharCode(byte);
  return s;
}

/** The text of a byte string, with a replacement character for what is not UTF-8. */
export function toText(bytes: string): string {
  return new TextDecoder().decode(Uint8Array.from(bytes, (c) => c.charCodeAt(0)));
}
