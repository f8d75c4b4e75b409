// Debian's xen-netfront against our backend: two guests ping each other, small and in fragments; interfaces come and go while
// a guest runs; a guest reaches servers on the host's loopback through passt: DHCP, UDP, TCP. What went over the wire is
// read by tcpdump.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { imagePath } from "../../scripts/images/folder.ts";
import { Configurations, lacking, RunningSession, session } from "./machine.ts";

const missing = lacking("vmlinuz", "net");
const has = (program: string): boolean => spawnSync(program, ["--version"], { stdio: "ignore" }).error === undefined;
const noPasst = missing ?? (has("passt") ? undefined : "no passt: apt-get install passt");

/** Runs a program as root of a network of its own. */
const NAMESPACE = ["unshare", "--map-root-user", "--net"];
const noTap = ["nsenter", "perl"].every(has)
  ? spawnSync(NAMESPACE[0], [...NAMESPACE.slice(1), "ip", "tuntap", "add", "tap0", "mode", "tap"]).status === 0
    ? undefined
    : "no taps in a namespace of this user's"
  : "no nsenter or perl";

const configurations = new Configurations();
const folder = mkdtempSync(join(tmpdir(), "xenolith-net-"));
afterAll(() => {
  configurations.remove();
  rmSync(folder, { recursive: true, force: true });
});

const guest = { kernel: imagePath("vmlinuz"), memory: 160, ramdisk: imagePath("net"), extra: "console=hvc0 quiet" };
const PROMPT = "xenolith# $";
let step = 0;

/** MD5 of what `seq COUNT` prints. */
function sequenceMd5(count: number): string {
  const hash = createHash("md5");
  for (let i = 1; i <= count; i++) hash.update(`${i}\n`);
  return hash.digest("hex");
}

/** Types a command, and waits until it is done. */
function typed(domain: string, command: string, prompt = false): string {
  step++;
  const first = prompt ? `--expect "${PROMPT}" ` : "";
  return `xl console ${domain} --timeout 200 ${first}--send "${command}; echo done ${step}" --expect "done ${step}\\n"`;
}

/** The guest's interface is there, or has gone: xl waits for the backend alone. */
const THERE = "until [ -e /sys/class/net/eth0 ]; do usleep 50000; done";
const GONE = "while [ -e /sys/class/net/eth0 ]; do usleep 50000; done";

describe.skipIf(missing)(`xen-netfront${missing ? ` (skipped: ${missing})` : ""}`, () => {
  test("two guests ping each other, and their traffic is in a capture", () => {
    const pcap = join(folder, "ping.pcap");
    const one = configurations.write("one", { ...guest, vif: ["mac=00:16:3e:00:00:01"] });
    const two = configurations.write("two", { ...guest, vif: [`mac=00:16:3e:00:00:02,pcap=${pcap}`] });
    const { status, output, errors } = session([
      `xl create ${one}`,
      `xl create ${two}`,
      typed("one", "ip addr add 10.0.0.1/24 dev eth0; ip link set eth0 up", true),
      typed("two", "ip addr add 10.0.0.2/24 dev eth0; ip link set eth0 up", true),
      typed("two", "ping -c 3 10.0.0.1"),
      typed("two", "ping -c 2 -s 20000 10.0.0.1"),
      typed("one", "seq 100000 >/tmp/big; httpd -p 80 -h /tmp"),
      typed("two", "wget -q -O - http://10.0.0.1/big | md5sum"),
      "xl network-list one two",
      "xl destroy one",
      "xl destroy two",
      "xl list",
    ]);
    expect(errors).toBe("");
    expect(output).toContain("3 packets transmitted, 3 packets received, 0% packet loss");
    expect(output).toContain(sequenceMd5(100_000));
    expect(output).toContain("2 packets transmitted, 2 packets received, 0% packet loss");
    expect(output).toMatch(
      /^0 {3}0 {2}00:16:3e:00:00:01 {5}0 {5}4 +\d+ +\d+\/\d+ +\/local\/domain\/0\/backend\/vif\/1\/0$/m,
    );
    expect(status).toBe(0);
    if (!has("tcpdump")) return;
    const read = spawnSync("tcpdump", ["-nvr", pcap, "icmp"], { encoding: "utf8" }).stdout;
    expect(read.match(/ICMP echo request/g)?.length).toBeGreaterThanOrEqual(5);
    expect(read).not.toMatch(/bad cksum|wrong icmp cksum/);
  });

  test("interfaces are attached to a guest that runs, and detached", () => {
    const config = configurations.write("hot", guest);
    const { status, output, errors } = session([
      `xl create ${config}`,
      typed("hot", "ls /sys/class/net", true),
      "xl network-attach hot mac=00:16:3e:00:00:09 rate=10Mb/s",
      typed("hot", `${THERE}; cat /sys/class/net/eth0/address`),
      "xenstore-read /local/domain/0/backend/vif/1/0/rate",
      "xl network-detach hot 00:16:3e:00:00:09",
      typed("hot", `${GONE}; ls -d /sys/class/net/*`),
      "xl network-list hot",
      "xl network-attach hot mac=00:16:3e:00:00:0a",
      typed("hot", `${THERE}; cat /sys/class/net/eth*/address`),
      "xl destroy hot",
    ]);
    expect(errors).toBe("");
    expect(output).toContain("xenolith# 00:16:3e:00:00:09\n");
    expect(output).toContain("\n62500,50000\n");
    expect(output.slice(output.indexOf("62500,50000"))).toMatch(/\/sys\/class\/net\/lo\ndone \d+\n/);
    expect(output).toContain("xenolith# 00:16:3e:00:00:0a\n");
    expect(status).toBe(0);
  });
});

describe.skipIf(missing)(`uplinks${missing ? ` (skipped: ${missing})` : ""}`, () => {
  /** A machine with one guest that has an address. */
  async function started(
    name: string,
    address: string,
    options: readonly string[],
    within: readonly string[] = [],
  ): Promise<RunningSession> {
    const config = configurations.write(name, { ...guest, vif: [""] });
    const up = typed(name, `ip addr add ${address}/24 dev eth0; ip link set eth0 up`, true);
    const done = `done ${step}\n`;
    const machine = new RunningSession([`xl create ${config}`, up], { open: true, options, within });
    await machine.shows(done);
    return machine;
  }

  test("two machines join over a socket, and their guests reach each other", async () => {
    const socket = join(folder, "joined.sock");
    const [one, two] = await Promise.all([
      started("one", "10.0.0.1", ["--uplink", `unix:${socket}`]), // Who connects may be first.
      started("two", "10.0.0.2", ["--uplink", `listen:unix:${socket}`]),
    ]);
    one.type(typed("one", "seq 100000 >/tmp/big; httpd -p 80 -h /tmp"));
    await one.shows(`done ${step}\n`);
    two.type(typed("two", "ping -c 3 10.0.0.1"), typed("two", "wget -q -O - http://10.0.0.1/big | md5sum"));
    const ended = await two.end();
    expect(ended).toMatchObject({ status: 0, errors: "" });
    expect(ended.output).toContain("3 packets transmitted, 3 packets received, 0% packet loss");
    expect(ended.output).toContain(sequenceMd5(100_000));
    expect(await one.end()).toMatchObject({ status: 0, errors: "" });
  });

  test.skipIf(noTap)(`a tap: guest and host reach each other${noTap ? ` (skipped: ${noTap})` : ""}`, async () => {
    const machine = await started("tapped", "10.9.8.2", ["--uplink", "tap:tap0"], NAMESPACE);
    const inside = (...command: readonly string[]): string => {
      const where = ["--preserve-credentials", "--user", "--net", "--target", String(machine.process.pid)];
      const { status, stdout, stderr } = spawnSync("nsenter", [...where, ...command], {
        encoding: "utf8",
        timeout: 240_000,
      });
      expect({ command, status, stderr }).toEqual({ command, status: 0, stderr: "" });
      return stdout;
    };
    inside("ip", "addr", "add", "10.9.8.1/24", "dev", "tap0");
    inside("ip", "link", "set", "tap0", "up");
    machine.type(typed("tapped", "ping -c 3 10.9.8.1"), typed("tapped", "seq 50000 >/tmp/big; httpd -p 80 -h /tmp"));
    await machine.shows(`done ${step}\n`);
    const fetched = "fetch('http://10.9.8.2/big').then((r) => r.text()).then((t) => process.stdout.write(t))";
    expect(
      createHash("md5")
        .update(inside(process.execPath, "-e", fetched))
        .digest("hex"),
    ).toBe(sequenceMd5(50_000));
    const ended = await machine.end();
    expect(ended).toMatchObject({ status: 0, errors: "" });
    expect(ended.output).toContain("3 packets transmitted, 3 packets received, 0% packet loss");
  });
});

describe.skipIf(noPasst)(`passt${noPasst ? ` (skipped: ${noPasst})` : ""}`, () => {
  let server: ChildProcess;
  let ports: { tcp: number; http: number; udp: number };
  beforeAll(async () => {
    server = spawn(process.execPath, ["tests/images/host_server.mjs"], { stdio: ["ignore", "pipe", "inherit"] });
    ports = JSON.parse(await new Promise<string>((resolve) => server.stdout?.once("data", (b) => resolve(String(b)))));
  });
  afterAll(() => {
    server.kill();
  });

  test("gives an address by DHCP, and the way to the host's loopback by UDP and TCP", () => {
    const config = configurations.write("out", { ...guest, vif: ["bridge=xenbr0"] });
    const { status, output, errors } = session(
      [
        `xl create ${config}`,
        typed("out", "ip link set eth0 up; udhcpc -i eth0 -n -q -s /sbin/dhcp", true),
        typed("out", `tftp -g -l /tmp/f -r hello 10.0.2.2 ${ports.udp}; cat /tmp/f`),
        // passt of 2023 doesn't end a connection that both sides end at once: the guest's side waits.
        typed("out", `(echo hello; sleep 1) | nc 10.0.2.2 ${ports.tcp}`),
        typed("out", `wget -q -O - http://10.0.2.2:${ports.http}/ | md5sum`),
        typed("out", "seq 100000 >/tmp/up"),
        typed("out", `wget -q -O - --post-file /tmp/up http://10.0.2.2:${ports.http}/`),
        "xl destroy out",
      ],
      900,
      ["--uplink", "bridge=xenbr0,passt,-a,10.0.2.15,-n,24,-g,10.0.2.2"],
    );
    expect(errors).toBe("");
    expect(output).toContain("dhcp: 10.0.2.15/24 via 10.0.2.2");
    expect(output).toContain("udp says hello\n");
    expect(output).toContain("tcp says hello\n");
    const megabyte = Buffer.from(Array.from({ length: 1 << 20 }, (_, i) => (i * 7 + (i >> 8)) & 255));
    expect(output).toContain(createHash("md5").update(megabyte).digest("hex"));
    expect(output).toContain(`got ${sequenceMd5(100_000)}`);
    expect(status).toBe(0);
  });
});
