// xl sched-bvt: what it shows, that each parameter can be set and nothing else changes by it, and that a refused command
// changes nothing. What the parameters do is tests/hypervisor/sched.

import { expect, it } from "vitest";
import { script } from "./session.ts";

/** Domain 0's line and the allowance, as the last table of these commands has them. */
function shown(...commands: string[]): { allowance: string; domain: string[]; status: number; output: string } {
  const { output, status } = script([...commands, "xl sched-bvt -d 0"], { files: [] });
  const [, allowance, line] = output.match(/ctx_allow=(\w+)\n.*\n(.*)\n$/) as RegExpMatchArray;
  return { allowance, domain: line.split(/\s+/), status, output };
}

const BEFORE = ["Domain-0", "0", "256", "131072", "on", "26214400", "0", "1000"];

it("shows all parameters of every domain, and the allowance", () => {
  const { output } = script(["xl create -q -p guests/hello/hello.cfg", "xl sched-bvt"]);
  expect(output).toBe(
    "Cpupool Pool-0: ctx_allow=5000us\n" +
      "Name                                ID Weight  McuAdv Warp WarpValue WarpL(ms) UnwarpL(ms)\n" +
      "Domain-0                             0    256  131072   on  26214400         0        1000\n" +
      "hello                                1    256  131072  off         0      2000        1000\n",
  );
});

it.each([
  ["-w 100", 2, ["100", "335544"]],
  ["--weight=32768", 2, ["32768", "1024"]],
  ["-m 1000", 2, ["33554", "1000"]],
  ["-W off", 4, ["off"]],
  ["-v 12345", 5, ["12345"]],
  ["-l 864000000", 6, ["864000000"]],
  ["-u 0", 7, ["0"]],
] as const)("sets what %s says and leaves the rest", (options, at, now) => {
  const { domain, allowance } = shown(`xl sched-bvt -d 0 ${options}`);
  expect(domain).toEqual([...BEFORE.slice(0, at), ...now, ...BEFORE.slice(at + now.length)]);
  expect(allowance).toBe("5000us");
});

it("sets all at once, the allowance too", () => {
  const { domain, allowance } = shown("xl sched-bvt -d Domain-0 -w 2 -W on -v 7 -l 8 -u 9 -a 1000");
  expect([domain, allowance]).toEqual([["Domain-0", "0", "2", "16777216", "on", "7", "8", "9"], "1000us"]);
});

it.each([
  ["-a 9", 'xl sched-bvt: ctx-allow is from 10 to 1000000, not "9"'],
  ["-a 100 -w 5", "Must specify a domain."],
  ["-a 100 -d 0 -w 65536", 'xl sched-bvt: weight is from 1 to 65535, not "65536"'],
  ["-d 0 -w 5 -W maybe", 'xl sched-bvt: warp is on or off, not "maybe"'],
  ["-d 0 -w 5 -l 864000001", 'xl sched-bvt: warp-limit is from 0 to 864000000, not "864000001"'],
  ["-d 7 -w 5 -a 100", "7 is an invalid domain identifier"],
])("refuses %s, and changes nothing", (options, message) => {
  const { domain, allowance, output, status } = shown(`xl sched-bvt ${options}`);
  expect(output.split("\n")[0]).toContain(message);
  expect([domain, allowance, status]).toEqual([BEFORE, "5000us", 1]);
});
