// A channel as xl.cfg(5) writes it: "connection=socket,path=/tmp/x.sock,name=org.example". Called by domain_config.ts. Of the
// real xl's connections pty is left out.

import { ItemError } from "./errors.ts";

/** The channel that was asked for: a stream of bytes at a listening unix socket of the host. */
export interface ChannelConfig {
  /** By which programs in the guest find it. */
  readonly name: string;
  readonly path: string;
}

/** What the address of a unix socket holds. */
const MAX_PATH_BYTES = 107;
const MAX_NAME = 256;

/** `warn` gets a line for each thing that is ignored. Throws ItemError. */
export function parseChannel(text: string, warn: (line: string) => void): ChannelConfig {
  let name: string | undefined;
  let path: string | undefined;
  let connection: string | undefined;
  for (const part of text.split(",")) {
    if (part.trim() === "") continue;
    const equals = part.indexOf("=");
    if (equals < 0) throw new ItemError(`failed to parse channel configuration: ${part.trim()} has no "="`);
    const key = part.slice(0, equals).trim();
    const value = part.slice(equals + 1).trim();
    if (key === "name") name = value;
    else if (key === "path") path = value;
    else if (key === "connection") connection = value;
    else if (key !== "backend") warn(`unknown channel parameter '${key}', ignoring`);
    else if (value !== "0" && value !== "Domain-0")
      throw new ItemError(`backend=${value}: backends are in Domain-0 only`);
  }
  if (connection === "pty")
    throw new ItemError("connection=pty: there are no pseudo-terminals here; use connection=socket,path=...");
  if (connection === undefined) throw new ItemError("channel has no connection; use connection=socket");
  if (connection !== "socket") throw new ItemError(`unknown channel connection '${connection}'; use socket`);
  if (!path) throw new ItemError("channel connection 'socket' requires path=..");
  if (new TextEncoder().encode(path).length > MAX_PATH_BYTES)
    throw new ItemError(`path is longer than the ${MAX_PATH_BYTES} bytes that a socket's address holds`);
  if (!name) throw new ItemError("channel has no name; use name=org.example");
  if (name.length > MAX_NAME) throw new ItemError(`name is longer than ${MAX_NAME} characters`);
  return { name, path };
}
