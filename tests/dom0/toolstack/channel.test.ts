// channel= of xl.cfg, and xl channel-list.
import { describe, expect, test } from "vitest";
import { parseChannel } from "../../../dom0/toolstack/config/channel.ts";
import { channelTable } from "../../../dom0/xl/channel.ts";

const parse = (text: string): unknown => {
  const warnings: string[] = [];
  const channel = parseChannel(text, (line) => warnings.push(line));
  return warnings.length > 0 ? { ...channel, warnings } : channel;
};

describe("channel=", () => {
  test("is read in xl's form", () => {
    expect(parse("connection=socket,path=/tmp/x.sock,name=org.example")).toEqual({
      name: "org.example",
      path: "/tmp/x.sock",
    });
    expect(parse(" name = a , path = b=c.sock , connection = socket, backend=0")).toEqual({
      name: "a",
      path: "b=c.sock",
    });
    expect(parse("connection=socket,path=/x,name=a,colour=red")).toEqual({
      name: "a",
      path: "/x",
      warnings: ["unknown channel parameter 'colour', ignoring"],
    });
  });

  test.each([
    ["connection=pty,name=a", "connection=pty: there are no pseudo-terminals here; use connection=socket,path=..."],
    ["connection=pigeon,name=a", "unknown channel connection 'pigeon'; use socket"],
    ["name=a,path=/x", "channel has no connection; use connection=socket"],
    ["connection=socket,name=a", "channel connection 'socket' requires path=.."],
    ["connection=socket,path=/x", "channel has no name; use name=org.example"],
    ["connection=socket,path=/x,name", 'failed to parse channel configuration: name has no "="'],
    ["connection=socket,path=/x,name=a,backend=net", "backend=net: backends are in Domain-0 only"],
    [
      `connection=socket,name=a,path=/${"x".repeat(107)}`,
      "path is longer than the 107 bytes that a socket's address holds",
    ],
  ])("%s is refused", (text, message) => {
    expect(() => parse(text)).toThrow(message);
  });
});

test("xl channel-list has the columns of the real one", () => {
  expect(channelTable([{ devid: 1, state: 4, eventChannel: 17, ringRef: 8, connection: "socket" }])).toBe(
    `Idx BE state evt-ch ring-ref connection ${" ".repeat(30)}\n1   0  4     17     8        socket     \n`,
  );
});
