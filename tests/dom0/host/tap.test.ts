// The uplink "tap:NAME" against the kernel itself, in a network namespace of its own, so that no root is needed and nothing of the
// host's is touched.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { NodeNet } from "../../../dom0/host/net.ts";

const PROBE = fileURLToPath(new URL("../../harness/tap_probe.ts", import.meta.url));

/** In a namespace, as its root, or with fewer rights. */
function isolated(...command: readonly string[]): { status: number | null; output: string; errors: string } {
  const { status, stdout, stderr } = spawnSync("unshare", ["--map-root-user", "--net", ...command], {
    encoding: "utf8",
    timeout: 240_000,
  });
  return { status, output: stdout ?? "", errors: stderr ?? "" };
}

function lacking(): string | undefined {
  if (!existsSync("/dev/net/tun")) return "no /dev/net/tun";
  for (const [program, ...args] of [
    ["perl", "-v"],
    ["setpriv", "--version"],
    ["ip", "-V"],
  ])
    if (spawnSync(program, args).status !== 0) return `no ${program}`;
  // A container may have the device and the namespaces, and yet forbid this.
  const made = isolated("ip", "tuntap", "add", "dev", "probe", "mode", "tap");
  return made.status === 0 ? undefined : `no tap in a user's namespace: ${made.errors.trim()}`;
}
const missing = lacking();

describe.skipIf(missing)(`an uplink to a tap${missing ? ` (skipped: ${missing})` : ""}`, () => {
  const node = [process.execPath, "--import", "tsx", PROBE];

  test("carries frames both ways, has the interface for itself, and takes it away with it", () => {
    const { output, errors } = isolated(...node);
    expect(errors).toBe("");
    expect(JSON.parse(output)).toEqual({ twice: "EBUSY", right: [true, true], again: true, gone: true });
  });

  test("is refused to who may not have it", () => {
    const weak = ["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"];
    const { output, errors } = isolated(...weak, ...node);
    expect(errors).toBe("");
    expect(JSON.parse(output)).toEqual({ refused: "EPERM" });
  });
});

test.each(["tap:", "tap:a/b", "tap:-x", "tap:a b", "tap:sixteen-letters-"])("%s is refused", async (spec) => {
  await expect(new NodeNet().open(spec)).rejects.toMatchObject({ code: "EINVAL" });
});
