// Disks' own threads and queues, with requests written by hand as a dom0 would: what is in the host's cache, which the thread reads
// itself, and slow disks, for which it has libuv's threads.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { DiskThreads } from "../../../dom0/host/disk_threads.ts";
import { NodeFiles } from "../../../dom0/host/files.ts";
import { DeviceBus } from "../../../hypervisor/machine/devices.ts";
import { allocateMemory } from "../../../hypervisor/machine/memory.ts";
import { XEN_EBADF, XEN_EFAULT, XEN_EINVAL, XEN_ENOSYS } from "../../../shared/abi/errno.ts";
import {
  DEVICE_PIRQ,
  DEVICE_QUEUES,
  DeviceCompletion,
  DeviceOp,
  DeviceRequest,
  DeviceSegment,
  type OpenedFile,
  QUEUE_ENTRIES,
  QueueLayout,
  queueMfn,
} from "../../../shared/devices.ts";

const BUFFER = 0x80000;
const dir = mkdtempSync(join(tmpdir(), "xenolith-disks-"));
const module = new URL("../../../scripts/disk_thread.mjs", import.meta.url);
afterAll(() => rmSync(dir, { recursive: true }));

interface Fields {
  op?: number;
  handle?: number;
  position?: number;
  address?: number;
  size?: number;
  segments?: number;
}

class Rig {
  readonly memory = allocateMemory(2);
  readonly u8 = new Uint8Array(this.memory.buffer as unknown as SharedArrayBuffer);
  readonly view = new DataView(this.u8.buffer);
  readonly bus = new DeviceBus(this.memory, () => {});
  readonly files: NodeFiles;
  readonly #opened = new Set<number>();
  #id = 100;

  constructor(slowMs?: number, code = module) {
    this.files = new NodeFiles(new DiskThreads(this.memory, code, slowMs));
  }

  async open(name: string, content: string | Uint8Array, mode: "r" | "r+" = "r+"): Promise<OpenedFile> {
    writeFileSync(join(dir, name), content);
    const opened = await this.files.open(join(dir, name), mode, true);
    this.#opened.add(opened.handle);
    return opened;
  }

  async close({ handle }: OpenedFile): Promise<void> {
    this.#opened.delete(handle);
    await this.files.close(handle);
  }

  async end(): Promise<void> {
    await Promise.all([...this.#opened].map((handle) => this.files.close(handle)));
  }

  send({ queue = 0, handle }: OpenedFile, fields: Fields): number {
    const start = queueMfn(queue) * 4096;
    const tail = this.view.getUint32(start + QueueLayout.submitTail, true);
    const at = start + QueueLayout.submissions + (tail % QUEUE_ENTRIES) * DeviceRequest.size;
    const r = DeviceRequest.at(this.view, at);
    r.id = ++this.#id;
    r.op = fields.op ?? DeviceOp.FileRead;
    r.segments = fields.segments ?? 0;
    r.handle = fields.handle ?? handle;
    r.position_num = fields.position ?? 0;
    r.address_num = fields.address ?? BUFFER;
    r.sizeBytes = fields.size ?? 0;
    const words = new Int32Array(this.u8.buffer, start, QueueLayout.size / 4);
    Atomics.store(words, QueueLayout.submitTail / 4, tail + 1);
    if (Atomics.exchange(words, QueueLayout.hostIdle / 4, 0) === 1) this.bus.ring(queue);
    return this.#id;
  }

  /** Id and status of each completion that is there. */
  taken({ queue = 0 }: OpenedFile): [number, number][] {
    const start = queueMfn(queue) * 4096;
    const words = new Int32Array(this.u8.buffer, start, QueueLayout.size / 4);
    const done: [number, number][] = [];
    for (let head = words[QueueLayout.completeHead / 4]; ; head++) {
      words[QueueLayout.completeHead / 4] = head;
      if (head === Atomics.load(words, QueueLayout.completeTail / 4)) return done;
      const at = start + QueueLayout.completions + (head % QUEUE_ENTRIES) * DeviceCompletion.size;
      const c = DeviceCompletion.at(this.view, at);
      done.push([c.id, c.status]);
    }
  }

  async completions(file: OpenedFile, count: number): Promise<[number, number][]> {
    const done: [number, number][] = [];
    while (done.length < count) {
      done.push(...this.taken(file));
      if (done.length < count) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return done;
  }

  /** The interrupt lines, once one is raised: that comes behind the completion. */
  async lines(): Promise<number> {
    for (;;) {
      const lines = this.bus.takeLines();
      if (lines !== 0) return lines;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  async status(file: OpenedFile, fields: Fields): Promise<number> {
    const id = this.send(file, fields);
    const [[answered, status]] = await this.completions(file, 1);
    expect(answered).toBe(id);
    return status;
  }

  segments(...pieces: readonly (readonly [address: number, sizeBytes: number])[]): Fields {
    const list = DeviceSegment.at(this.view, BUFFER);
    pieces.forEach(([address, sizeBytes], i) => {
      list.$at(BUFFER + i * DeviceSegment.size);
      list.address_num = address;
      list.sizeBytes = sizeBytes;
    });
    return { segments: pieces.length, size: pieces.reduce((sum, [, bytes]) => sum + bytes, 0) };
  }

  text(address: number, sizeBytes: number): string {
    return Buffer.from(this.u8.slice(address, address + sizeBytes)).toString("latin1");
  }
}

let rig: Rig;
afterEach(() => rig.end());

describe.each([
  ["in the host's cache", undefined],
  ["that is slow", -1],
])("a disk %s", (_, slowMs) => {
  beforeEach(() => {
    rig = new Rig(slowMs);
  });

  test("is read and written in one piece and in several, to its end, and each answer raises the interrupt", async () => {
    const disk = await rig.open("a", "0123456789");
    expect(disk.queue).toBe(1);
    for (let round = 0; round < 3; round++) {
      expect(await rig.status(disk, { position: 2, size: 4 })).toBe(4);
      expect(rig.text(BUFFER, 4)).toBe("2345");
      expect(await rig.lines()).toBe(1 << DEVICE_PIRQ);
      expect(await rig.status(disk, { position: 7, size: 8 })).toBe(3);
      expect(await rig.status(disk, { position: 10, size: 8 })).toBe(0);
      const scattered = rig.segments([BUFFER + 0x2000, 3], [BUFFER + 0x5001, 6]);
      expect(await rig.status(disk, { position: 1, ...scattered })).toBe(9);
      expect([rig.text(BUFFER + 0x2000, 4), rig.text(BUFFER + 0x5001, 7)]).toEqual(["123\0", "456789\0"]);
    }
    rig.u8.set(Buffer.from("abcdef"), BUFFER + 0x3000);
    const write = { op: DeviceOp.FileWrite };
    expect(await rig.status(disk, { ...write, address: BUFFER + 0x3000, position: 8, size: 4 })).toBe(4);
    const scattered = rig.segments([BUFFER + 0x3004, 2], [BUFFER + 0x3000, 1]);
    expect(await rig.status(disk, { ...write, position: 0, ...scattered })).toBe(3);
    await rig.close(disk);
    expect(readFileSync(join(dir, "a"), "latin1")).toBe("efa34567abcd");
  });

  test("answers a wrong request with its errno, and goes on", async () => {
    const disk = await rig.open("b", "0123456789", "r");
    const top = rig.u8.length;
    const cases: [() => Fields, number][] = [
      [() => ({ handle: disk.handle + 1, size: 4 }), XEN_EBADF],
      [() => ({ op: DeviceOp.FileSync }), XEN_ENOSYS],
      [() => ({ op: DeviceOp.FileWrite, size: 4 }), XEN_EBADF],
      [() => ({ address: queueMfn(DEVICE_QUEUES) * 4096 - 1, size: 4 }), XEN_EFAULT],
      [() => ({ address: top - 3, size: 4 }), XEN_EFAULT],
      [() => ({ address: 2 ** 53, size: 4 }), XEN_EFAULT],
      [() => ({ position: 2 ** 53, size: 4 }), XEN_EINVAL],
      [() => ({ segments: 257, size: 4 }), XEN_EINVAL],
      [() => rig.segments([BUFFER, 1], [top, 1]), XEN_EFAULT],
      [() => ({ ...rig.segments([BUFFER + 0x2000, 1], [BUFFER, 1]), size: 3 }), XEN_EINVAL],
    ];
    for (const [fields, errno] of cases) expect(await rig.status(disk, fields())).toBe(-errno);
    expect(await rig.status(disk, { position: 3, size: 2 })).toBe(2);
  });

  test("that is closed has done all that it was asked before", async () => {
    const disk = await rig.open("c", new Uint8Array(1 << 20).fill(7));
    const sent = Array.from({ length: 100 }, (_, i) =>
      rig.send(disk, { position: i * 4096, address: BUFFER + i * 4096, size: 4096 }),
    );
    await rig.close(disk);
    const done = rig.taken(disk);
    expect(done.map(([id]) => id).sort((a, b) => a - b)).toEqual(sent);
    expect(done.every(([, status]) => status === 4096)).toBe(true);
    expect(rig.u8.subarray(BUFFER, BUFFER + 100 * 4096).every((byte) => byte === 7)).toBe(true);
  });
});

/** Threads that only wait until they are to end: quickly made. */
const idle = new URL(
  `data:text/javascript,${encodeURIComponent(`
    import { parentPort, workerData } from "node:worker_threads";
    parentPort.postMessage("ready");
    while (Atomics.load(new Int32Array(workerData.stop), 0) === 0) await new Promise((later) => setTimeout(later, 1));`)}`,
);

describe("queues", () => {
  test("go to as many disks as there are, are used again, and go to nothing that isn't a disk", async () => {
    rig = new Rig(undefined, idle);
    const disks: OpenedFile[] = [];
    for (let i = 0; i < DEVICE_QUEUES; i++) disks.push(await rig.open(`d${i}`, `${i}`));
    expect(disks.map(({ queue }) => queue)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, undefined]);
    expect((await rig.files.open(join(dir, "d0"), "r")).queue).toBeUndefined();
    expect((await rig.files.open("ram:1M", "r+", true)).queue).toBeUndefined();
    await rig.close(disks[4]);
    expect((await rig.open("again", "abc")).queue).toBe(5);
  });

  test("of a host that has no more threads are not used: the disk is served as other files are", async () => {
    rig = new Rig(undefined, new URL("data:text/javascript,throw new Error('no')"));
    for (let i = 0; i < DEVICE_QUEUES; i++) {
      const disk = await rig.open(`e${i}`, "abc");
      expect(disk.queue).toBeUndefined();
      const into = new Uint8Array(new SharedArrayBuffer(3));
      expect(await rig.files.read(disk.handle, [into], 0)).toBe(3);
    }
  });
});
