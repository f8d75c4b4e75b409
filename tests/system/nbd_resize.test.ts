// An export that has another size when its server is started anew: the guest that has it is told, and goes on.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { DISK_BYTES, problems } from "../harness/disk_guest.ts";
import { NbdServer } from "../harness/nbd_server.ts";
import { RunningSession } from "../harness/running.ts";

const folder = mkdtempSync(join(tmpdir(), "xenolith-nbd-resize-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("an export's new size is told to the guest", async () => {
  const path = join(folder, "socket");
  const server = new NbdServer(Buffer.alloc(DISK_BYTES));
  await server.listen(path);
  const config = "tests/guests/disk/disk.cfg";
  const machine = new RunningSession(
    [
      `xl create -q ${config} 'disk=["vdev=xvda, access=rw, target=nbd:unix:${path}"]'`,
      'xl console disk --timeout 200 --expect "flushed [0-9]+\\n[^]*"',
    ],
    { open: true },
  );
  await machine.shows("flushed ");
  await server.die();
  server.resize(2 * DISK_BYTES);
  await server.listen(path);
  const sectors = `\n${(2 * DISK_BYTES) / 512}\n`;
  for (let looks = 0; !machine.output.includes(sectors) && looks < 400; looks++) {
    machine.type("xenstore-read /local/domain/0/backend/vbd/1/51712/sectors");
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  expect(machine.output).toContain(sectors);
  machine.type("xl block-detach disk xvda", "xl shutdown disk");
  machine.type('xl console disk --timeout 200 --expect "good bye\\n"', "xl destroy disk");
  const { output, errors, status } = await machine.end();
  expect({ status, errors }).toEqual({ status: 0, errors: "" });
  expect(output).not.toContain("WRONG");
  const flushed = Number(/^disconnected after (\d+)$/m.exec(output)?.[1]);
  expect(flushed).toBeGreaterThan(0);
  expect(problems(server.stable.subarray(0, DISK_BYTES), flushed)).toEqual([]);
  await server.die();
});
