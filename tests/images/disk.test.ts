// Other people's frontends on our disks: GRUB reads a partition of an MBR disk; Linux's xen-blkfront mounts ext4, writes, reads back
// and powers off, and the host's e2fsck finds nothing wrong. Needs e2fsprogs beside the images.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { imagePath } from "../../scripts/images/folder.ts";
import { Configurations, lacking, RunningSession, session } from "./machine.ts";

const PATH = `${process.env.PATH}:/usr/sbin:/sbin`;
const run = (program: string, ...args: string[]) =>
  spawnSync(program, args, { encoding: "utf8", env: { ...process.env, PATH } });
const noTools = run("mke2fs", "-V").error ? "no mke2fs: e2fsprogs" : undefined;

const folder = mkdtempSync(join(tmpdir(), "xenolith-disks-"));
const configurations = new Configurations();
afterAll(() => {
  configurations.remove();
  rmSync(folder, { recursive: true, force: true });
});

/** A file system of so many MiB with these files, as an image of its own. */
function fileSystem(type: "ext2" | "ext4", sizeMiB: number, files: Record<string, string>): string {
  const from = join(folder, `${type}-files`);
  mkdirSync(from);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(from, name), text);
  const image = join(folder, `${type}.img`);
  const made = run("mke2fs", "-q", "-t", type, "-d", from, image, `${sizeMiB}M`);
  expect(made.stderr).not.toMatch(/error|fail/i);
  expect(made.status).toBe(0);
  return image;
}

/** A disk with one partition, at 1 MiB, that holds `image`. */
function mbrDisk(image: string): string {
  const data = readFileSync(image);
  const disk = Buffer.alloc(1048576 + data.length);
  const entry = disk.subarray(446, 462);
  entry.set([0x80, 0xfe, 0xff, 0xff, 0x83, 0xfe, 0xff, 0xff]);
  entry.writeUInt32LE(2048, 8);
  entry.writeUInt32LE(data.length / 512, 12);
  disk.writeUInt16LE(0xaa55, 510);
  disk.set(data, 1048576);
  const path = join(folder, "mbr.img");
  writeFileSync(path, disk);
  return path;
}

const noGrub = noTools ?? lacking("grub");
describe.skipIf(noGrub)(`GRUB with a disk${noGrub ? ` (skipped: ${noGrub})` : ""}`, () => {
  test("lists its partition, prints a file of its ext2, and halts", () => {
    const disk = mbrDisk(fileSystem("ext2", 3, { file: "hello from ext2\n", big: "0123456789abcdef".repeat(20_000) }));
    const before = readFileSync(disk);
    const config = configurations.write("grub", {
      kernel: imagePath("grub"),
      memory: 64,
      disk: [`${disk},raw,xvda,ro`],
    });
    const steps = ["ls", "cat (xen/xvda,msdos1)/file", "md5sum (xen/xvda,msdos1)/big"].map(
      (text) => `--send "${text}" --expect "grub> $"`,
    );
    const { output, errors } = session([
      `xl create ${config}`,
      `xl console grub --timeout 200 --expect "grub> $" ${steps.join(" ")}`,
      "xl block-list grub",
      "xl console grub --send halt",
      "xl console grub",
      "xl list",
      "xenstore-ls -f /local/domain/0/backend",
    ]);
    expect(errors).toBe("");
    expect(output).toContain("(xen/xvda) (xen/xvda,msdos1)");
    expect(output).toContain("hello from ext2\n");
    expect(output).toContain(createHash("md5").update("0123456789abcdef".repeat(20_000)).digest("hex"));
    expect(output).toMatch(/^51712 0 {3}\d+ +[34] +\d+ +\d+ +\/local\/domain\/0\/backend\/vbd\/\d+\/51712$/m);
    expect(output.slice(output.lastIndexOf("Domain-0"))).not.toMatch(/^grub|vbd\/\d/m);
    expect(readFileSync(disk).equals(before)).toBe(true);
  });
});

const noLinux = noTools ?? lacking("vmlinuz", "disk");
describe.skipIf(noLinux)(`Linux with disks${noLinux ? ` (skipped: ${noLinux})` : ""}`, () => {
  test("mounts ext4, writes, reads back what it wrote, unmounts, powers off, and the file system is whole", () => {
    const image = fileSystem("ext4", 64, { there: "already\n" });
    const config = configurations.write("disks", {
      kernel: imagePath("vmlinuz"),
      ramdisk: imagePath("disk"),
      extra: "console=hvc0 quiet",
      memory: 256,
      disk: [`${image},raw,xvda,rw`],
    });
    const numbers = Array.from({ length: 100_000 }, (_, i) => `${i + 1}\n`).join("");
    const commands = [
      "mount -t ext4 /dev/xvda /mnt && cat /mnt/there",
      "seq 100000 >/mnt/numbers; mkdir /mnt/dir; dd if=/dev/zero of=/mnt/dir/zeros bs=64k count=100 2>/dev/null; sync",
      "umount /mnt; mount -t ext4 /dev/xvda /mnt; md5sum /mnt/numbers; wc -c </mnt/dir/zeros",
      "blockdev --getsize64 /dev/xvda; cat /sys/block/xvda/queue/physical_block_size; dmesg | grep -o 'persistent grants: .*'",
      // Attached while it runs, used, and taken away again.
      "while [ ! -b /dev/xvdb ]; do usleep 100000; done; echo hot | dd of=/dev/xvdb bs=512 conv=sync,fsync 2>/dev/null",
      "head -c 4 /dev/xvdb",
    ];
    const step = (i: number) => `--send "${commands[i]}; echo done ${i + 1}" --expect "done ${i + 1}\\n.*# $"`;
    const { status, output, errors } = session([
      `xl create ${config}`,
      `xl console disks --timeout 200 --expect "xenolith# $" ${[0, 1, 2, 3].map(step).join(" ")}`,
      "xl block-attach disks ram:8M,raw,xvdb,rw",
      `xl console disks --timeout 200 ${[4, 5].map(step).join(" ")}`,
      "xl block-list disks",
      "xl block-detach disks xvdb",
      "xl block-list disks",
      `xl console disks --timeout 200 --send "umount /mnt; exit"`,
      "xl console disks",
      "xl list",
    ]);
    expect(errors).toBe("");
    expect(output).toContain("already\n");
    expect(output).toContain(`${createHash("md5").update(numbers).digest("hex")}  /mnt/numbers\n6553600\n`);
    expect(output).toContain("67108864\n4096\npersistent grants: enabled; indirect descriptors: enabled;");
    expect(output).toContain("hot\ndone 6");
    expect(output.match(/^51728 /gm)).toHaveLength(1);
    expect(output.match(/^51712 /gm)).toHaveLength(2);
    expect(output).not.toMatch(/I\/O error|disabled for further use/);
    const check = run("e2fsck", "-fn", image);
    expect({ status: check.status, output: check.stdout }).toMatchObject({ status: 0 });
    expect(check.stdout).not.toMatch(/Fix|recover/);
    expect(statSync(image).size).toBe(67108864);
    expect(status).toBe(output.includes("invalid domain identifier") ? 1 : 0);
  });

  test("destroyed in the middle of its writes it leaves nothing behind, and the disk goes to the next domain", () => {
    const image = join(folder, "busy.img");
    writeFileSync(image, Buffer.alloc(16 * 1048576));
    const config = configurations.write("busy", {
      kernel: imagePath("vmlinuz"),
      ramdisk: imagePath("disk"),
      extra: "console=hvc0 quiet",
      memory: 256,
      disk: [`${image},raw,xvda,rw`],
    });
    const storm = "while dd if=/dev/urandom of=/dev/xvda bs=64k count=200 conv=fsync 2>/dev/null; do echo round; done";
    const { output, errors } = session([
      "xl info free_memory",
      `xl create ${config}`,
      `xl console busy --timeout 200 --expect "xenolith# $" --send "${storm}" --expect "round\\n[^]*round\\n"`,
      "xl destroy busy",
      "xl info free_memory",
      "xl list",
      `xl create -p ${config}`,
      "xl block-list busy",
      "xl destroy busy",
      "xl info free_memory",
      "xl dmesg",
    ]);
    expect(errors).toBe("");
    const free = output.match(/^\d+$/gm) ?? [];
    expect(free).toHaveLength(3);
    expect(new Set(free).size).toBe(1);
    expect(output).toMatch(/^51712 0 {3}2 +1 /m);
    expect(output.slice(output.lastIndexOf(free[2]))).not.toMatch(/error|crash|backend/i);
    expect(readFileSync(image).some((byte) => byte !== 0)).toBe(true);
  });

  test("sees its disk grow when the host's file does, and writes to the new end", async () => {
    const image = join(folder, "growing.img");
    writeFileSync(image, Buffer.alloc(4 * 1048576));
    const config = configurations.write("growing", {
      kernel: imagePath("vmlinuz"),
      ramdisk: imagePath("disk"),
      extra: "console=hvc0 quiet",
      memory: 256,
      disk: [`${image},raw,xvda,rw`],
    });
    const wait =
      "blockdev --getsize64 /dev/xvda; while [ $(blockdev --getsize64 /dev/xvda) = 4194304 ]; do usleep 100000; done";
    const write =
      "echo end | dd of=/dev/xvda bs=512 seek=16383 conv=sync,fsync 2>/dev/null; blockdev --getsize64 /dev/xvda";
    const machine = new RunningSession([
      `xl create ${config}`,
      `xl console growing --timeout 200 --expect "xenolith# $" --send "${wait}; ${write}" --expect "8388608\\n.*# $"`,
      "xl destroy growing",
    ]);
    await machine.shows("4194304\n");
    truncateSync(image, 8 * 1048576);
    const { output, errors } = await machine.ended;
    expect(errors).toBe("");
    expect(output).toContain("8388608\n");
    expect(
      readFileSync(image)
        .subarray(16383 * 512, 16383 * 512 + 4)
        .toString(),
    ).toBe("end\n");
  });
});
