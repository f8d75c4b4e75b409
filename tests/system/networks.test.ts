// Interfaces by xl's commands, on a guest that has no driver for them: made with the domain, added and taken away later, refused in
// one line, laid out in xenstore as libxl does, and gone with the domain. Guests that use them are in tests/images/.

import { describe, expect, it } from "vitest";
import { GUEST_FILES, script } from "./session.ts";

const TICKER = "tests/guests/ticker/ticker.cfg";
const run = (lines: readonly string[]) => script(lines, { files: GUEST_FILES });
const HEAD = "Idx BE Mac Addr.         handle state evt-ch   tx-/rx-ring-ref BE-path                       \n";
const row = (devid: number, mac: string): string =>
  `${devid}   0  ${mac}     ${devid}     1     -1    -1/-1          /local/domain/0/backend/vif/1/${devid}\n`;

describe("a domain's interfaces", () => {
  it("are there when it is made, listed, added and taken away, and their nodes are libxl's", () => {
    const { status, output } = run([
      `xl create -q ${TICKER} 'vif=["mac=00:16:3e:00:00:01", "mac=00:16:3e:00:00:02,bridge=br1,rate=1MB/s@20ms"]'`,
      "xl network-list ticker",
      "xenstore-ls -f -p /local/domain/0/backend/vif",
      "xenstore-ls -f -p /local/domain/1/device/vif",
      "xl network-detach ticker 0",
      "xl network-detach -f ticker 00:16:3E:00:00:02",
      "xl network-list ticker",
      "xl network-attach ticker mac=00:16:3e:00:00:03 bridge=br1",
      "xl network-attach ticker",
      "xl network-list ticker",
      "xl destroy ticker",
      "xenstore-ls -f /local/domain/0/backend",
      "xenstore-ls -f /libxl",
    ]);
    expect(output.startsWith(HEAD + row(0, "00:16:3e:00:00:01") + row(1, "00:16:3e:00:00:02"))).toBe(true);
    const back = "/local/domain/0/backend/vif/1/1";
    const front = "/local/domain/1/device/vif/1";
    for (const node of [
      `${back}/frontend = "${front}"   (n0,r1)`,
      `${back}/frontend-id = "1"   (n0,r1)`,
      `${back}/online = "1"   (n0,r1)`,
      `${back}/state = "2"   (n0,r1)`,
      `${back}/mac = "00:16:3e:00:00:02"   (n0,r1)`,
      `${back}/rate = "20000,20000"   (n0,r1)`,
      `${back}/bridge = "br1"   (n0,r1)`,
      `${back}/handle = "1"   (n0,r1)`,
      `${back}/feature-rx-copy = "1"   (n0,r1)`,
      `${front} = ""   (n1,r0)`,
      `${front}/backend = "${back}"   (n1,r0)`,
      `${front}/mac = "00:16:3e:00:00:02"   (n1,r0)`,
      `${front}/state = "1"   (n1,r0)`,
      `${front}/mtu = "1500"   (n0,r1)`,
    ])
      expect(output).toContain(`${node}\n`);
    const [, first, second] = output.slice(output.lastIndexOf("(n")).split(HEAD);
    expect(first).toBe("");
    // An address of Xen's own range is chosen.
    expect(second.replace(/00:16:3e:[0-7][0-9a-f]:..:..(?= {5}1)/, "00:16:3e:CHOSEN")).toBe(
      row(0, "00:16:3e:00:00:03") +
        row(1, "00:16:3e:CHOSEN") +
        '/local/domain/0/backend/console = ""\n/local/domain/0/backend/vif = ""\n',
    );
    expect(status).toBe(0);
  });

  it("that can't be are refused in one line, and nothing is left of a domain or an interface", () => {
    const create = (vifs: string): string => `xl create -q ${TICKER} 'vif=[${vifs}]'`;
    const { output } = run([
      create('"mac=01:16:3e:00:00:01"'),
      create('"rate=fast"'),
      "xl list",
      `xl create -q ${TICKER} 'vif=["devid=3"]'`,
      "xl network-attach ticker devid=3",
      "xl network-attach ticker colour=red",
      "xl network-attach ticker type=ioemu",
      "xl network-detach ticker 0",
      "xl network-detach ticker 00:16:3e:00:00:77",
      "xl network-detach ticker",
      "xl network-attach 0",
      "xl network-list nobody",
    ]);
    const lines = output.split("\n");
    expect(lines.filter((line) => !/^(Name|Domain-0) /.test(line))).toEqual([
      'command line:1:6: vif "mac=01:16:3e:00:00:01": mac "01:16:3e:00:00:01" is not the address of one station',
      'command line:1:6: vif "rate=fast": invalid rate "fast", as in 10Mb/s or 1MB/s@20ms',
      "vif 3: domain 1 has one of that number",
      'xl network-attach: unrecognized argument "colour=red"',
      "xl network-attach: type=ioemu: emulated interfaces are not for PV guests; use type=vif",
      "Unknown device 0.",
      "Unknown device 00:16:3e:00:00:77.",
      "Usage: xl network-detach <Domain> <DevId|mac>",
      "Domain 0 can't be given an interface: it is the machine's own.",
      "nobody is an invalid domain identifier (rc=-6)",
      "",
    ]);
  });
});
