// The entries about domains against the reference: what real Xen's `xenstore-ls -f -p` prints, committed with the project's
// reference material and repeated here without what the guest itself wrote.

import { expect, it } from "vitest";
import { readDomainConfig } from "../../../dom0/toolstack/config/index.ts";
import {
  removeDomain,
  renameDomain,
  writeDom0,
  writeDomain,
  writeRings,
} from "../../../dom0/toolstack/xenstore_entries.ts";
import { XenStored, XsClient } from "../../../dom0/xenstored/index.ts";

const UUID = "f9c108bc-4c4e-4c24-9f7a-6a045487dba6";

function listing(xs: XsClient, path: string): string[] {
  return (xs.directory(path) ?? []).flatMap((name) => {
    const child = path === "/" ? `/${name}` : `${path}/${name}`;
    return [`${child} = "${xs.read(child)}" (${xs.permissions(child)!.join(",")})`, ...listing(xs, child)];
  });
}

function store(): XsClient {
  return new XsClient(
    new XenStored(() => {
      throw new Error("no rings here");
    }),
  );
}

const config = readDomainConfig(
  "g.cfg",
  `name="guest1"; kernel="/guest/vmlinux"; ramdisk="/guest/ird-idle.cpio.gz"; extra="console=hvc0"
  memory=256; vcpus=2`,
  [],
  () => {},
);

it("writes what the field's toolstack writes", () => {
  const xs = store();
  xs.transaction((t) => writeDom0(t, 786432));
  xs.transaction((t) => writeDomain(t, { domid: 1, uuid: UUID, config, startedMs: 1795159816040 }));
  xs.transaction((t) =>
    writeRings(t, { domid: 1, storeFrame: 497665, storePort: 1, consoleFrame: 497666, consolePort: 2 }),
  );
  const vm = `/vm/${UUID}`;
  const expected = `
/tool = "" (n0)
/tool/xenstored = "" (n0)
/local = "" (n0)
/local/domain = "" (n0)
/local/domain/0 = "" (n0)
/local/domain/0/control = "" (n0)
/local/domain/0/control/feature-poweroff = "1" (n0)
/local/domain/0/control/feature-reboot = "1" (n0)
/local/domain/0/control/feature-suspend = "1" (n0)
/local/domain/0/domid = "0" (n0)
/local/domain/0/name = "Domain-0" (n0)
/local/domain/0/backend = "" (n0)
/local/domain/0/backend/console = "" (n0)
/local/domain/0/backend/console/1 = "" (n0)
/local/domain/0/backend/console/1/0 = "" (n0,r1)
/local/domain/0/backend/console/1/0/frontend = "/local/domain/1/console" (n0,r1)
/local/domain/0/backend/console/1/0/frontend-id = "1" (n0,r1)
/local/domain/0/backend/console/1/0/online = "1" (n0,r1)
/local/domain/0/backend/console/1/0/state = "1" (n0,r1)
/local/domain/0/backend/console/1/0/protocol = "vt100" (n0,r1)
/local/domain/0/memory = "" (n0)
/local/domain/0/memory/target = "786432" (n0)
/local/domain/0/memory/static-max = "17179869180" (n0)
/local/domain/1 = "" (n0,r1)
/local/domain/1/vm = "${vm}" (n0,r1)
/local/domain/1/name = "guest1" (n0,r1)
/local/domain/1/cpu = "" (n0,r1)
/local/domain/1/cpu/0 = "" (n0,r1)
/local/domain/1/cpu/0/availability = "online" (n0,r1)
/local/domain/1/cpu/1 = "" (n0,r1)
/local/domain/1/cpu/1/availability = "online" (n0,r1)
/local/domain/1/memory = "" (n0,r1)
/local/domain/1/memory/static-max = "262144" (n0,r1)
/local/domain/1/memory/target = "262144" (n0,r1)
/local/domain/1/memory/videoram = "0" (n0,r1)
/local/domain/1/device = "" (n0,r1)
/local/domain/1/device/suspend = "" (n0,r1)
/local/domain/1/device/suspend/event-channel = "" (n1)
/local/domain/1/control = "" (n0,r1)
/local/domain/1/control/shutdown = "" (n1)
/local/domain/1/control/feature-poweroff = "" (n1)
/local/domain/1/control/feature-reboot = "" (n1)
/local/domain/1/control/feature-suspend = "" (n1)
/local/domain/1/control/sysrq = "" (n1)
/local/domain/1/control/platform-feature-multiprocessor-suspend = "1" (n0,r1)
/local/domain/1/control/platform-feature-xs_reset_watches = "1" (n0,r1)
/local/domain/1/data = "" (n1)
/local/domain/1/drivers = "" (n1)
/local/domain/1/feature = "" (n1)
/local/domain/1/attr = "" (n1)
/local/domain/1/error = "" (n1)
/local/domain/1/domid = "1" (n0,r1)
/local/domain/1/store = "" (n0,r1)
/local/domain/1/store/port = "1" (n0,r1)
/local/domain/1/store/ring-ref = "497665" (n0,r1)
/local/domain/1/console = "" (n0,r1)
/local/domain/1/console/backend = "/local/domain/0/backend/console/1/0" (n0,r1)
/local/domain/1/console/backend-id = "0" (n1,r0)
/local/domain/1/console/limit = "1048576" (n0,r1)
/local/domain/1/console/type = "xenconsoled" (n0,r1)
/local/domain/1/console/output = "pty" (n0,r1)
/local/domain/1/console/port = "2" (n0,r1)
/local/domain/1/console/ring-ref = "497666" (n0,r1)
/local/pool = "" (n0)
/local/pool/0 = "" (n0)
/local/pool/0/name = "Pool-0" (n0)
/vm = "" (n0)
${vm} = "" (n0,r1)
${vm}/name = "guest1" (n0,r1)
${vm}/uuid = "${UUID}" (n0,r1)
${vm}/image = "" (n0,r1)
${vm}/image/ostype = "linux" (n0,r1)
${vm}/image/kernel = "/guest/vmlinux" (n0,r1)
${vm}/image/ramdisk = "/guest/ird-idle.cpio.gz" (n0,r1)
${vm}/image/cmdline = "console=hvc0" (n0,r1)
${vm}/start_time = "1795159816.04" (n0,r1)
/libxl = "" (n0)
/libxl/1 = "" (n0)
/libxl/1/device = "" (n0)
/libxl/1/device/console = "" (n0)
/libxl/1/device/console/0 = "" (n0)
/libxl/1/device/console/0/frontend = "/local/domain/1/console" (n0)
/libxl/1/device/console/0/backend = "/local/domain/0/backend/console/1/0" (n0)
/libxl/1/device/console/0/frontend-id = "1" (n0)
/libxl/1/device/console/0/online = "1" (n0)
/libxl/1/device/console/0/state = "1" (n0)
/libxl/1/device/console/0/protocol = "vt100" (n0)
/libxl/1/type = "pv" (n0)
/libxl/1/dm-version = "qemu_xen" (n0)`;
  expect(listing(xs, "/").sort()).toEqual(expected.trim().split("\n").sort());
});

it("takes all of a domain away again, and renames one", () => {
  const xs = store();
  writeDom0(xs, 1);
  const before = listing(xs, "/");
  writeDomain(xs, { domid: 7, uuid: UUID, config, startedMs: 0 });
  writeRings(xs, { domid: 7, storeFrame: 1, storePort: 1, consoleFrame: 2, consolePort: 2 });
  renameDomain(xs, 7, UUID, "other");
  expect([xs.read("/local/domain/7/name"), xs.read(`/vm/${UUID}/name`)]).toEqual(["other", "other"]);
  expect(xs.permissions("/local/domain/7/name")).toEqual(["n0", "r7"]);
  removeDomain(xs, 7, UUID);
  const left = listing(xs, "/").filter((line) => !line.startsWith("/local/domain/0/backend"));
  expect(left).toEqual(before);
});
