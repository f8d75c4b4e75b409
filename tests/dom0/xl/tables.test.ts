// xl's tables against what the real xl prints (lines of the reference, to the blank).

import { describe, expect, it } from "vitest";
import { Expecter, unescapeSend } from "../../../dom0/xl/expect.ts";
import { parseArguments } from "../../../dom0/xl/options.ts";
import { listTable, uptimeTable, vcpuTable, yajl } from "../../../dom0/xl/tables.ts";

const dom0 = {
  name: "Domain-0",
  domid: 0,
  memoryMiB: 768,
  vcpus: 1,
  running: true,
  blocked: false,
  paused: false,
  shutdown: false,
  crashed: false,
  dying: false,
  seconds: 13.7,
  uuid: "00000000-0000-0000-0000-000000000000",
  shutdownReason: 0,
};
const guest = {
  ...dom0,
  name: "guest1",
  domid: 1,
  memoryMiB: 256,
  vcpus: 2,
  running: false,
  paused: true,
  seconds: 12.5,
  uuid: "f9c108bc-4c4e-4c24-9f7a-6a045487dba6",
};

describe("xl's tables", () => {
  it("list", () => {
    expect(listTable([dom0, guest], false)).toBe(
      "Name                                        ID   Mem VCPUs\tState\tTime(s)\n" +
        "Domain-0                                     0   768     1     r-----      13.7\n" +
        "guest1                                       1   256     2     --p---      12.5\n",
    );
  });

  it("list -v", () => {
    expect(
      listTable(
        [
          { ...dom0, seconds: 9 },
          { ...guest, running: true, paused: false, seconds: 7.2 },
        ],
        true,
      ),
    ).toBe(
      "Name                                        ID   Mem VCPUs\tState\tTime(s)   UUID                            Reason-Code\tSecurity Label\n" +
        "Domain-0                                     0   768     1     r-----       9.0 00000000-0000-0000-0000-000000000000        -                -\n" +
        "guest1                                       1   256     2     r-----       7.2 f9c108bc-4c4e-4c24-9f7a-6a045487dba6        -                -\n",
    );
  });

  it("list of a crashed domain that was kept", () => {
    const kept = { ...guest, paused: false, shutdown: true, crashed: true, shutdownReason: 3 };
    expect(listTable([kept], true)).toContain("     ---sc-      12.5 f9c108bc-4c4e-4c24-9f7a-6a045487dba6        3");
  });

  it("vcpu-list", () => {
    const row = {
      name: "guest1",
      domid: 1,
      vcpu: 0,
      online: true,
      cpu: 1,
      running: false,
      blocked: false,
      seconds: 5.5,
    };
    expect(
      vcpuTable([
        { ...row, name: "Domain-0", domid: 0, running: true, seconds: 10 },
        row,
        { ...row, vcpu: 1, cpu: 0, running: true, seconds: 3.1 },
        { ...row, vcpu: 2, online: false, seconds: 0 },
      ]),
    ).toBe(
      "Name                                ID  VCPU   CPU State   Time(s) Affinity (Hard / Soft)\n" +
        "Domain-0                             0     0    1   r--      10.0  all / all\n" +
        "guest1                               1     0    1   ---       5.5  all / all\n" +
        "guest1                               1     1    0   r--       3.1  all / all\n" +
        "guest1                               1     2    -   --p       0.0  all / all\n",
    );
  });

  it("uptime", () => {
    expect(
      uptimeTable([
        { name: "Domain-0", domid: 0, seconds: 18.9 },
        { name: "guest1", domid: 1, seconds: 2 * 86400 + 3 * 3600 + 4 * 60 + 5 },
      ]),
    ).toBe(
      "Name                                ID Uptime\n" +
        "Domain-0                             0  0:00:18\n" +
        "guest1                               1 2 days,  3:04:05\n",
    );
  });

  it("JSON as list -l has it", () => {
    expect(yajl([{ domid: 0, "type.pv": {}, list: [0, 1] }])).toBe(
      '[\n    {\n        "domid": 0,\n        "type.pv": {\n\n        },\n        "list": [\n            0,\n            1\n        ]\n    }\n]',
    );
  });
});

describe("options", () => {
  const specs = {
    all: { letter: "a", long: "all" },
    wait: { letter: "w" },
    time: { long: "time", letter: "t", value: true },
  } as const;
  const parse = (...args: string[]) => {
    const p = parseArguments("xl test", args, specs);
    return [p.options.map((o) => `${o.name}${o.value && `=${o.value}`}`).join(" "), p.words.join(" ")];
  };
  it("come in any order and form", () => {
    expect(parse("x", "-aw", "--time", "5", "y")).toEqual(["all wait time=5", "x y"]);
    expect(parse("--time=6", "-t7", "-t", "8", "-wt9")).toEqual(["time=6 time=7 time=8 wait time=9", ""]);
    expect(parse("--all", "--", "-a", "--all")).toEqual(["all", "-a --all"]);
    expect(parse("-")).toEqual(["", "-"]);
  });
  it.each([
    [["-x"], "xl test: unknown option -x; see help test"],
    [["--no"], "unknown option --no"],
    [["-t"], "option -t needs a value"],
    [["--all=1"], "option --all takes no value"],
  ])("that are wrong get one line: %j", (args, message) => {
    expect(() => parse(...args)).toThrow(message);
  });
});

describe("--expect", () => {
  const bytes = (s: string): Uint8Array => new TextEncoder().encode(s);
  const text = (b: Uint8Array): string => new TextDecoder().decode(b);

  it("matches across pieces and escape sequences, and leaves what follows for the next", () => {
    const e = new Expecter();
    e.add(bytes("boot\r\n\x1b[1mgr"));
    expect(e.step(/grub> /).matched).toBe(false);
    e.add(bytes("u\x1b[0mb> ls\r\n(hd0)\r\ngrub> "));
    const first = e.step(/grub> /);
    expect([first.matched, text(first.show)]).toEqual([true, "u\x1b[0mb> "]);
    const second = e.step(/^\(hd0\)$/m);
    expect([second.matched, text(second.show)]).toEqual([true, "ls\r\n(hd0)"]);
    expect(e.step(/grub> $/).matched).toBe(true);
    expect(e.rest.length).toBe(0);
  });

  it("shows everything once while nothing matches, and keeps what was not shown", () => {
    const e = new Expecter();
    let shown = "";
    for (let i = 0; i < 200; i++) {
      e.add(bytes("0123456789".repeat(100)));
      shown += text(e.step(/never/).show);
    }
    expect(shown).toBe("0123456789".repeat(20000));
    e.add(bytes("é now the rest"));
    expect(text(e.step(/é now/).show)).toBe("é now");
    expect(text(e.rest)).toBe(" the rest");
  });

  it("sends escapes as bytes and ends with a line feed", () => {
    expect(text(unescapeSend("ls"))).toBe("ls\n");
    expect(text(unescapeSend("\\x41\\t\\\\ \\q\\r"))).toBe("A\t\\ \\q\r\n");
    expect(text(unescapeSend("y\\c"))).toBe("y");
  });
});
