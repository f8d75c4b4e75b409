// Disks as configurations write them (xl-disk-configuration(5)), and the numbers of virtual devices (xen-vbd-interface(7)).
import { describe, expect, test } from "vitest";
import { deviceNumber, parseDisk } from "../../../dom0/toolstack/config/disk.ts";

const PLAIN = { devid: 51712, cdrom: false, removable: false, discard: true, writable: true, vdev: "xvda" };

describe("a disk's text", () => {
  test.each([
    ["/dev/vg/guest,raw,xvda,rw", { target: "/dev/vg/guest" }],
    ["/dev/vg/guest,,xvda", { target: "/dev/vg/guest" }],
    ["format=raw, vdev=xvda, access=rw, target=/dev/vg/guest", { target: "/dev/vg/guest" }],
    ["raw:/dev/vg/guest,xvda,w", { target: "/dev/vg/guest" }],
    ["phy:/dev/vg/guest,xvda,w", { target: "/dev/vg/guest" }],
    ["file:/a b/guest.img, xvda, r", { target: "/a b/guest.img", writable: false, discard: false }],
    ["vdev=xvda,target=/with,commas=and,more", { target: "/with,commas=and,more" }],
    ["/x.iso,,xvda,cdrom", { target: "/x.iso", cdrom: true, removable: true, writable: false, discard: false }],
    ["/x.iso,,xvda:cdrom,r", { target: "/x.iso", cdrom: true, removable: true, writable: false, discard: false }],
    [
      "/x, no-discard, vdev=xvda, backendtype=phy, script=block, removable=1, direct-io-safe",
      { target: "/x", discard: false, removable: true },
    ],
    ["ram:64M,raw,xvda,rw", { target: "ram:64M" }],
    ["vdev=xvda,target=nbd:unix:/run/x.sock", { target: "nbd:unix:/run/x.sock" }],
  ])("%s", (text, expected) => {
    expect(parseDisk(text)).toEqual({ ...PLAIN, ...expected });
  });

  test.each([
    ["/x", "no vdev specified, as in vdev=xvda"],
    ["vdev=xvda", "no target specified, as in target=/path"],
    ["/x,raw,xvda,rx", "unknown value for access: rx; use ro or rw"],
    ["/x,raw,xvda,rw,more", "too many positional parameters: more"],
    ["/x,tar,xvda", "unknown value for format: tar; use raw"],
    ["/x,qcow2,xvda", "serve it by qemu-nbd and use target=nbd:unix:/path/of/socket"],
    ["/x,raw,vda", "Invalid or unsupported virtual disk identifier vda"],
    ["/x,raw,xvda,colour=red", "unknown parameter: colour=red"],
    ["/x,raw,xvda,backendtype=tap", "backendtype tap is not supported; use phy"],
    ["/x,raw,xvda,script=block-drbd", "script=block-drbd is not supported"],
    ["/x,raw,xvda,backend=storage", "backends are in Domain-0 only"],
    ["/x,vdev=xvda,vdev=xvdb", "vdev is given twice: xvda and xvdb"],
    ["cdrom,vdev=hdc", "a drive without a medium is not supported"],
  ])("refuses %s", (text, message) => {
    expect(() => parseDisk(text)).toThrow(message);
  });
});

describe("a virtual device's number", () => {
  test.each([
    ["xvda", 51712],
    ["xvda1", 51713],
    ["xvdp15", 51967],
    ["xvdq", 0x10001000],
    ["xvda16", 0x10000010],
    ["xvdaa", 0x10001a00],
    ["d0", 51712],
    ["d2p3", 51747],
    ["hda", 768],
    ["hdb1", 833],
    ["hdd", 5696],
    ["sda", 2048],
    ["sdp15", 2303],
    ["51712", 51712],
    ["0xca00", 51712],
  ])("%s is %i", (name, number) => {
    expect(deviceNumber(name)).toBe(number);
  });

  test.each(["", "xvd", "xvdA", "hde", "sdq", "hda64", "xvda256", "vda", "d", "xvdzzzzz", "d1048576"])(
    "%s is none",
    (name) => {
      expect(deviceNumber(name)).toBeUndefined();
    },
  );
});
