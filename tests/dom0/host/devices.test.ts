// The host's end of the device queues, with requests written by hand as a dom0 would, right and wrong ones.
import { pack, unpack } from "msgpackr";
import { describe, expect, test } from "vitest";
import { DeviceHost } from "../../../dom0/host/devices.ts";
import { DeviceBus } from "../../../hypervisor/machine/devices.ts";
import { allocateMemory } from "../../../hypervisor/machine/memory.ts";
import { XEN_EBADF, XEN_EFAULT, XEN_EINVAL, XEN_ENOBUFS, XEN_ENOENT, XEN_ENOSYS } from "../../../shared/abi/errno.ts";
import {
  DEVICE_PIRQ,
  DEVICE_QUEUE_MFN,
  DeviceCompletion,
  DeviceOp,
  DeviceRequest,
  DeviceSegment,
  QUEUE_ENTRIES,
  QueueLayout,
} from "../../../shared/devices.ts";
import { SimulatedHost } from "../../harness/host.ts";

const QUEUE = DEVICE_QUEUE_MFN * 4096;
const BUFFER = 0x80000;

class Rig {
  readonly wasm = allocateMemory(1);
  readonly u8 = new Uint8Array(this.wasm.buffer as unknown as SharedArrayBuffer);
  readonly view = new DataView(this.wasm.buffer as unknown as SharedArrayBuffer);
  readonly bus = new DeviceBus(this.wasm, () => {});
  readonly host = new SimulatedHost();
  readonly devices = new DeviceHost(this.wasm, this.host);
  #id = 100;

  send(
    fields: Partial<Record<"op" | "segments" | "handle" | "inputBytes" | "position" | "address" | "size", number>>,
  ): number {
    const tail = this.view.getUint32(QUEUE + QueueLayout.submitTail, true);
    const r = DeviceRequest.at(
      this.view,
      QUEUE + QueueLayout.submissions + (tail % QUEUE_ENTRIES) * DeviceRequest.size,
    );
    r.id = ++this.#id;
    r.op = fields.op ?? 0;
    r.segments = fields.segments ?? 0;
    r.handle = fields.handle ?? 0;
    r.inputBytes = fields.inputBytes ?? 0;
    r.position_num = fields.position ?? 0;
    r.address_num = fields.address ?? BUFFER;
    r.sizeBytes = fields.size ?? 0;
    this.view.setUint32(QUEUE + QueueLayout.submitTail, tail + 1, true);
    return this.#id;
  }

  structured(op: number, value: unknown, size = 4096): number {
    const bytes = pack(value);
    this.u8.set(bytes, BUFFER);
    return this.send({ op, inputBytes: bytes.length, size });
  }

  /** Serves, and returns [id, status] of every new completion. */
  serve(): [number, number][] {
    this.devices.serve();
    const out: [number, number][] = [];
    const head = QUEUE + QueueLayout.completeHead;
    for (
      let at = this.view.getUint32(head, true);
      at !== this.view.getUint32(QUEUE + QueueLayout.completeTail, true);
      at++
    ) {
      const c = DeviceCompletion.at(
        this.view,
        QUEUE + QueueLayout.completions + (at % QUEUE_ENTRIES) * DeviceCompletion.size,
      );
      out.push([c.id, c.status]);
      this.view.setUint32(head, at + 1, true);
    }
    return out;
  }

  status(): number {
    const done = this.serve();
    expect(done).toHaveLength(1);
    return done[0][1];
  }

  open(path: string): number {
    this.structured(DeviceOp.FileOpen, { path, mode: "r" });
    const n = this.status();
    expect(n).toBeGreaterThan(0);
    return (unpack(this.u8.slice(BUFFER, BUFFER + n)) as { handle: number }).handle;
  }
}

describe("the host's end of the device queues", () => {
  test("a file is opened, read into scattered frames, and closed; each completion raises the interrupt", () => {
    const rig = new Rig();
    rig.host.disk.set("a", new TextEncoder().encode("0123456789"));
    const handle = rig.open("a");
    expect(rig.bus.takeLines()).toBe(1 << DEVICE_PIRQ);
    expect(rig.bus.takeLines()).toBe(0);
    const list = DeviceSegment.at(rig.view, BUFFER);
    list.address_num = BUFFER + 0x2000;
    list.sizeBytes = 3;
    list.$at(BUFFER + 16);
    list.address_num = BUFFER + 0x5001;
    list.sizeBytes = 6;
    rig.send({ op: DeviceOp.FileRead, handle, position: 2, segments: 2, size: 9 });
    expect(rig.status()).toBe(8);
    expect(rig.u8.slice(BUFFER + 0x2000, BUFFER + 0x2004)).toEqual(new Uint8Array([50, 51, 52, 0]));
    expect(rig.u8.slice(BUFFER + 0x5001, BUFFER + 0x5007)).toEqual(new Uint8Array([53, 54, 55, 56, 57, 0]));
    rig.send({ op: DeviceOp.FileClose, handle });
    expect(rig.status()).toBe(0);
    expect(rig.host.openFiles).toBe(0);
  });

  test("a request that is wrong gets its errno, and touches nothing", () => {
    const rig = new Rig();
    const cases: [() => void, number][] = [
      [() => rig.send({ op: 999 }), XEN_ENOSYS],
      [() => rig.send({ op: DeviceOp.FileRead, handle: 5, size: 10 }), XEN_EBADF],
      [() => rig.structured(DeviceOp.FileOpen, { path: "none", mode: "r" }), XEN_ENOENT],
      [() => rig.structured(DeviceOp.FileOpen, { path: "a\0b", mode: "r" }), XEN_EINVAL],
      [() => rig.structured(DeviceOp.FileOpen, { path: 7, mode: "r" }), XEN_EINVAL],
      [() => rig.structured(DeviceOp.FileOpen, { path: "a", mode: "x" }), XEN_EINVAL],
      [() => rig.structured(DeviceOp.FileStat, null), XEN_EINVAL],
      [() => rig.structured(DeviceOp.LogAppend, { name: "../up" }), XEN_EINVAL],
      [() => rig.structured(DeviceOp.TtyInfo, {}, 8), XEN_ENOBUFS],
      // The machine's own frames, outside memory, not a number.
      [() => rig.send({ op: DeviceOp.TtyWrite, address: 4096, size: 16 }), XEN_EFAULT],
      [() => rig.send({ op: DeviceOp.TtyWrite, address: QUEUE, size: 16 }), XEN_EFAULT],
      [() => rig.send({ op: DeviceOp.TtyWrite, address: 1048576 - 8, size: 16 }), XEN_EFAULT],
      [() => rig.send({ op: DeviceOp.TtyWrite, address: 2 ** 53, size: 16 }), XEN_EFAULT],
      [() => rig.send({ op: DeviceOp.FileRead, inputBytes: 20, size: 16 }), XEN_EINVAL],
      // A list across a page, one too long, and one whose total isn't the size.
      [() => rig.send({ op: DeviceOp.FileRead, address: BUFFER + 4088, segments: 1, size: 16 }), XEN_EINVAL],
      [() => rig.send({ op: DeviceOp.FileRead, segments: 257, size: 16 }), XEN_EINVAL],
    ];
    for (const [send, errno] of cases) {
      send();
      expect(rig.status(), send.toString()).toBe(-errno);
    }
    expect(rig.host.output).toBe("");
    const list = DeviceSegment.at(rig.view, BUFFER);
    list.address_num = BUFFER + 0x2000;
    list.sizeBytes = 3;
    rig.send({ op: DeviceOp.FileRead, segments: 1, size: 4 });
    expect(rig.status()).toBe(-XEN_EINVAL);
    expect(rig.devices.outstanding).toBe(0);
    expect(rig.bus.busy).toBe(false);
  });

  test("a broken submission index stops the queue until it is right again", () => {
    const rig = new Rig();
    rig.view.setUint32(QUEUE + QueueLayout.submitTail, QUEUE_ENTRIES + 1, true);
    expect(rig.serve()).toEqual([]);
    rig.view.setInt32(QUEUE + QueueLayout.submitTail, -1, true);
    expect(rig.serve()).toEqual([]);
    rig.view.setUint32(QUEUE + QueueLayout.submitTail, 0, true);
    const id = rig.send({ op: 999 });
    expect(rig.serve()).toEqual([[id, -XEN_ENOSYS]]);
  });

  test("the queues go round many times, each request answered once", () => {
    const rig = new Rig();
    for (let round = 0; round < 20; round++) {
      const ids = Array.from({ length: 50 }, () => rig.send({ op: DeviceOp.TtyWrite, size: 1 }));
      expect(rig.serve().map(([id]) => id)).toEqual(ids);
    }
    expect(rig.host.output).toHaveLength(1000);
  });

  test("a read of the terminal waits for input without holding up others, and ends with 0", () => {
    const rig = new Rig();
    const read = rig.send({ op: DeviceOp.TtyRead, size: 4 });
    const other = rig.send({ op: DeviceOp.TtyWrite, size: 1 });
    expect(rig.bus.busy).toBe(true);
    expect(rig.serve()).toEqual([[other, 1]]);
    expect(rig.bus.busy).toBe(true); // Input that isn't a person's comes by itself, and is waited for.
    rig.host.type("hello");
    expect(rig.serve()).toEqual([[read, 4]]);
    expect(rig.u8.slice(BUFFER, BUFFER + 4)).toEqual(new TextEncoder().encode("hell"));
    rig.host.endInput();
    rig.send({ op: DeviceOp.TtyRead, size: 4 });
    expect(rig.status()).toBe(1);
    rig.send({ op: DeviceOp.TtyRead, size: 4 });
    expect(rig.status()).toBe(0);
  });
});
