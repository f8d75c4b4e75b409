// Disks by xl's commands, on a guest that has no driver for them: made with the domain, added and taken away later, refused in one
// line, laid out in xenstore as libxl does, and gone with the domain. Guests that use them are in tests/images/.

import { describe, expect, it } from "vitest";
import { GUEST_FILES, script } from "./session.ts";

const TICKER = "tests/guests/ticker/ticker.cfg";
const files = [...GUEST_FILES, ["a.img", new Uint8Array(1048576)], ["b.img", new Uint8Array(4096)]] as const;
const run = (lines: readonly string[]) => script(lines, { files });

describe("a domain's disks", () => {
  it("are there when it is made, listed, added and taken away, and their nodes are libxl's", () => {
    const { status, output, session } = run([
      `xl create -q ${TICKER} 'disk=["a.img,raw,xvda,rw", "vdev=hdc, access=ro, target=b.img"]'`,
      "xl block-list ticker",
      "xenstore-ls -f -p /local/domain/0/backend/vbd",
      "xenstore-ls -f -p /local/domain/1/device/vbd",
      "xl block-detach ticker xvda",
      "xl block-attach ticker a.img,raw,xvdb,r",
      "xl block-list ticker",
      "xl destroy ticker",
      "xenstore-ls -f /local/domain/0/backend",
      "xenstore-ls -f /libxl",
    ]);
    expect(output).toContain(
      "Vdev  BE  handle state evt-ch ring-ref BE-path                       \n" +
        "5632  0   1      1     -1     -1       /local/domain/0/backend/vbd/1/5632\n" +
        "51712 0   1      1     -1     -1       /local/domain/0/backend/vbd/1/51712\n",
    );
    const back = "/local/domain/0/backend/vbd/1/51712";
    for (const node of [
      `${back}/frontend = "/local/domain/1/device/vbd/51712"   (n0,r1)`,
      `${back}/params = "a.img"   (n0,r1)`,
      `${back}/state = "2"   (n0,r1)`,
      `${back}/dev = "xvda"   (n0,r1)`,
      `${back}/mode = "w"   (n0,r1)`,
      `${back}/sectors = "2048"   (n0,r1)`,
      `${back}/feature-flush-cache = "1"   (n0,r1)`,
      `/local/domain/0/backend/vbd/1/5632/mode = "r"   (n0,r1)`,
      `/local/domain/0/backend/vbd/1/5632/info = "4"   (n0,r1)`,
      `/local/domain/1/device/vbd/51712 = ""   (n1,r0)`,
      `/local/domain/1/device/vbd/51712/backend = "${back}"   (n1,r0)`,
      `/local/domain/1/device/vbd/51712/virtual-device = "51712"   (n1,r0)`,
      `/local/domain/1/device/vbd/51712/state = "1"   (n1,r0)`,
    ])
      expect(output).toContain(`${node}\n`);
    expect(output.match(/^51712 /gm)).toHaveLength(1);
    expect(output).toMatch(/^51728 0 {3}1 /m);
    expect(output.slice(output.lastIndexOf("51728"))).not.toMatch(/vbd\/\d|device/);
    expect(status).toBe(0);
    expect(session.machine.checker()).toEqual([]);
  });

  it("that can't be are refused in one line, and nothing is left", () => {
    const create = (disk: string) => `xl create -q ${TICKER} 'disk=[${disk}]'`;
    const { output } = run([
      "xl info free_memory",
      create('"none.img,raw,xvda,rw"'),
      create('"a.img,raw,xvda,rw", "a.img,raw,xvdb,rw"'),
      create('"a.img,raw,xvda,rw", "b.img,raw,xvda,rw"'),
      create('"a.img,qcow2,xvda,rw"'),
      create('"guests,raw,xvda,rw"'),
      "xl list",
      "xl info free_memory",
      `xl create -q ${TICKER} 'disk=["a.img,raw,xvda,rw"]'`,
      "xl block-attach ticker a.img,raw,xvdb,rw",
      "xl block-attach ticker a.img,raw",
      "xl block-attach ticker b.img,raw,xvda",
      "xl block-detach ticker xvdc",
      "xl block-detach nobody xvda",
    ]);
    const lines = output.split("\n");
    expect(lines.slice(1, 6)).toEqual([
      "disk xvda: none.img: No such file or directory",
      "disk xvdb: a.img: already in use by domain 1 as xvda, which writes to it",
      "two disks are xvda",
      'command line:1:7: disk "a.img,qcow2,xvda,rw": format=qcow2 is not supported; serve it by qemu-nbd and use target=nbd:unix:/path/of/socket',
      "disk xvda: guests: Is a directory",
    ]);
    expect(lines[6]).toMatch(/^Name/);
    expect(lines[7]).toMatch(/^Domain-0/);
    expect(lines[8]).toBe(lines[0]);
    expect(lines.slice(9, -1)).toEqual([
      "disk xvdb: a.img: already in use by domain 2 as xvda, which writes to it",
      "xl block-attach: no vdev specified, as in vdev=xvda",
      "disk xvda: domain 2 has one of that name",
      "Error: Device xvdc not connected.",
      "nobody is an invalid domain identifier (rc=-6)",
    ]);
  });
});
