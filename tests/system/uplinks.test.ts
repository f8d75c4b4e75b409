// Uplinks that can't be had: one line says why, and the machine goes on without.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { RunningSession } from "../harness/running.ts";

const folder = mkdtempSync(join(tmpdir(), "xenolith-uplinks-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const has = (program: string): boolean => spawnSync(program, ["--version"], { stdio: "ignore" }).error === undefined;

const LISTEN = `listen:unix:${folder}/no/such/socket`;
const cases: [spec: string, why: RegExp, needs: readonly string[]][] = [
  [LISTEN, /no folder for the socket \/.*/, []],
  ["passt,--no-such-option", /passt has ended: .+/, ["passt"]],
  // In a namespace of this user's nobody has a tap of that name, and this program may not make one.
  ["tap:tap0", /not permitted; its owner may: ip tuntap add .*|this host has no .*/, ["unshare", "setpriv", "perl"]],
];
const WEAK = [
  "unshare",
  "--map-root-user",
  "--net",
  "setpriv",
  "--bounding-set",
  "-net_admin",
  "--inh-caps",
  "-net_admin",
];

test.for(cases)("%s", async ([spec, why, needs], { skip }) => {
  const lacks = needs.filter((program) => !has(program));
  if (lacks.length > 0) skip(`no ${lacks.join(", ")}`);
  const within = needs.includes("setpriv") ? WEAK : [];
  if (within.length > 0 && spawnSync(WEAK[0], [...WEAK.slice(1), "true"]).status !== 0)
    skip("no namespaces of this user's");
  const machine = new RunningSession(["xl domid Domain-0"], { options: ["--uplink", spec], open: true, within });
  await machine.shows("dom0: no ");
  const { status, output, errors } = await machine.end();
  expect({ status, errors }).toEqual({ status: 0, errors: "" });
  const line = output.split("\n").find((text) => text.startsWith("dom0: no ")) as string;
  expect(line.startsWith(`dom0: no uplink ${spec} for xenbr0: `)).toBe(true);
  expect(line.slice(line.indexOf("xenbr0: ") + 8)).toMatch(new RegExp(`^(${why.source})$`));
  expect(output.split("\n")).toContain("0");
});
