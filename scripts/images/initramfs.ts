// Makes the initramfs images that Linux is booted with: busybox, an /init script, and nothing else. Called by index.ts
// and by the tests in tests/images/. "report" prints what can be seen of the machine from inside and powers off; "shell"
// gives a shell on hvc0 and powers off when it ends, "disk" and "net" the same after they
// have loaded modules.

import { type CpioEntry, cpio } from "./cpio.ts";

export type InitramfsKind = "report" | "shell" | "disk" | "net";

/** A kernel module, to be loaded by init. */
export interface Module {
  readonly name: string;
  readonly data: Uint8Array;
}

/** The line by which a boot is timed: everything before it is the kernel's doing. */
export const INIT_MARKER = "xenolith: init runs";

/** busybox's shell finds its own applets through /proc/self/exe, so that no links to it are needed once /proc is there. */
const BEGIN = `#!/bin/busybox sh
/bin/busybox echo "${INIT_MARKER}"
/bin/busybox mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
`;

/**
 * xenstore through the kernel's own device, since /proc/xen needs a module: a message is xsd_sockmsg (type, request,
 * transaction, length) and a path, relative to the domain's own; the answer has the same form. XS_READ is 2.
 */
const XENSTORE_READ = `
xenstore_read() {
  path=$1
  exec 3<>/dev/xen/xenbus || return
  printf "\\\\002\\\\000\\\\000\\\\000\\\\000\\\\000\\\\000\\\\000\\\\000\\\\000\\\\000\\\\000\\\\$(printf %03o $((\${#path} + 1)))\\\\000\\\\000\\\\000$path\\\\000" >&3
  length=$(dd bs=1 count=16 <&3 2>/dev/null | od -An -tu4 | awk '{ print $4 }')
  dd bs=1 count=$length <&3 2>/dev/null
  exec 3>&-
}
`;

const REPORT = `
section() { echo "--- $1"; }
section uptime; cat /proc/uptime
section cpuinfo; cat /proc/cpuinfo
section memory; free -k; head -n 3 /proc/meminfo
section hypervisor
for file in type uuid version/major version/minor version/extra properties/features guest_type; do
  if [ -r /sys/hypervisor/$file ]; then echo "$file $(cat /sys/hypervisor/$file)"; fi
done
section xenstore
echo "domid $(xenstore_read domid)"
echo "name $(xenstore_read name)"
section clocksource; cat /sys/devices/system/clocksource/clocksource0/current_clocksource
section interrupts; cat /proc/interrupts
section iomem; cat /proc/iomem
section vulnerabilities
for file in /sys/devices/system/cpu/vulnerabilities/*; do echo "\${file##*/}: $(cat $file)"; done
section end
poweroff -f
`;

const SHELL = `
stty -echo </dev/hvc0 2>/dev/null
PS1='xenolith# ' setsid sh -c 'exec sh -i </dev/hvc0 >/dev/hvc0 2>&1'
poweroff -f
`;

/** What the kernel runs when the toolstack asks for a shutdown (orderly_poweroff); there is no init to be told. */
const POWEROFF = `#!/bin/busybox sh
exec /bin/busybox poweroff -f
`;

/** What busybox's udhcpc calls with what it has learned. */
const DHCP = `#!/bin/busybox sh
[ "$1" = bound ] || exit 0
ip addr add $ip/$mask dev $interface
for via in $router; do ip route add default via $via; done
echo "dhcp: $ip/$mask via $router"
`;

/** The archive, uncompressed: unpacking it would cost the guest more than reading it. `busybox` must be static. */
export function initramfs(
  kind: InitramfsKind,
  busybox: Uint8Array,
  modules: readonly Module[] = [],
): Uint8Array<ArrayBuffer> {
  const load = modules.map(({ name }) => `insmod /lib/${name}\n`).join("");
  const init = BEGIN + XENSTORE_READ + load + (kind === "report" ? REPORT : SHELL);
  const folders = ["bin", "sbin", "dev", "proc", "sys", "tmp", "root"];
  // The others stay as they were: what they print is compared with what they printed elsewhere, sizes included.
  if (modules.length > 0) folders.push("lib", "mnt");
  const entries: CpioEntry[] = [
    ...folders.map((path): CpioEntry => ({ type: "dir", path, mode: path === "tmp" ? 0o1777 : 0o755 })),
    // The kernel opens /dev/console for init before init can mount anything.
    { type: "char", path: "dev/console", mode: 0o600, major: 5, minor: 1 },
    { type: "file", path: "bin/busybox", mode: 0o755, data: busybox },
    { type: "link", path: "bin/sh", target: "busybox" },
    { type: "file", path: "sbin/poweroff", mode: 0o755, data: POWEROFF },
    ...modules.map(({ name, data }): CpioEntry => ({ type: "file", path: `lib/${name}`, mode: 0o644, data })),
    ...(kind === "net" ? [{ type: "file", path: "sbin/dhcp", mode: 0o755, data: DHCP } as const] : []),
    { type: "file", path: "init", mode: 0o755, data: init },
  ];
  return cpio(entries);
}

/** True for an ELF program that needs no dynamic loader (it has no PT_INTERP), as busybox-static's is. */
export function isStaticElf(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 64 || view.getUint32(0) !== 0x7f454c46 || bytes[4] !== 2) return false;
  const start = view.getUint32(0x20, true);
  const size = view.getUint16(0x36, true);
  const count = view.getUint16(0x38, true);
  const PT_INTERP = 3;
  for (let i = 0; i < count; i++) {
    const at = start + i * size;
    if (at + 4 > bytes.length || view.getUint32(at, true) === PT_INTERP) return false;
  }
  return count > 0;
}
