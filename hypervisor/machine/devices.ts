// The machine's end of its devices (shared/devices.ts): the words that the host and the hypervisor share, the interrupt lines
// and the doorbells. The queues themselves are between the host and dom0; the hypervisor only keeps their frames, of
// DOMID_IO. What a device does is the host's affair. Used by hypervisor.ts and by whoever runs the machine's loop.

import type { Mfn } from "../../shared/brand.ts";
import {
  ControlLayout,
  DEVICE_CONTROL_MFN,
  DEVICE_QUEUE_FRAMES,
  DEVICE_QUEUE_MFN,
  DEVICE_QUEUES,
  QUEUE_ENTRIES,
  QUEUE_MAGIC,
  QueueLayout,
  queueMfn,
} from "../../shared/devices.ts";
import { FRAME_SIZE, type MachineMemory } from "./memory.ts";

/** Atomics.wait takes milliseconds; waits longer than this are cut: a timer that far off is looked at again. */
const LONGEST_WAIT_MS = 3_600_000;
/**
 * Looks at the doorbell before the machine sleeps while a disk's thread is at work: 35 us. A thread that must wake the machine
 * is itself busy with that for up to 20 us, so that each would always find the other asleep.
 */
const LOOKS = 5000;
/** After looks in vain, up to so many sleeps without. */
const MOST_SKIPPED = 64;

export class DeviceBus {
  /** First frame of the queues, and how many: to be given to DOMID_IO. */
  static readonly queueMfn = DEVICE_QUEUE_MFN as Mfn;
  static readonly queueFrames = DEVICE_QUEUES * DEVICE_QUEUE_FRAMES;
  readonly #words: Int32Array;
  readonly #queues: readonly Int32Array[];
  readonly #ring: () => void;
  readonly #exact: boolean;
  #settledStop = false;
  /** Sleeps to come without looks before; and how many after the next looks in vain, half of it. */
  #skip = 0;
  #vain = 1;

  /**
   * Sets the queues up in the memory's documented frames. `ring` tells the host that there are requests in queue 0; the threads
   * of the others sleep on `hostIdle`. `exact` is for the virtual clock: dom0 rings for each request, and the host, in another
   * thread, is waited for; there is no other queue then.
   */
  constructor(memory: WebAssembly.Memory, ring: () => void, exact = false) {
    const buffer = memory.buffer as unknown as SharedArrayBuffer;
    this.#words = new Int32Array(buffer, DEVICE_CONTROL_MFN * FRAME_SIZE, ControlLayout.size / 4);
    this.#ring = ring;
    this.#exact = exact;
    Atomics.store(this.#words, ControlLayout.running / 4, 1);
    this.#queues = Array.from({ length: DEVICE_QUEUES }, (_, n) => {
      const queue = new Int32Array(buffer, queueMfn(n) * FRAME_SIZE, QueueLayout.size / 4);
      queue[QueueLayout.entries / 4] = QUEUE_ENTRIES;
      queue[QueueLayout.ringAlways / 4] = exact ? 1 : 0;
      Atomics.store(queue, QueueLayout.hostIdle / 4, 1);
      Atomics.store(queue, QueueLayout.magic / 4, QUEUE_MAGIC);
      return queue;
    });
  }

  /** Keeps the devices' frames from other use: the first reservation of every machine, with devices or without. */
  static reserve(memory: MachineMemory): void {
    const address = memory.reserve((1 + DeviceBus.queueFrames) * FRAME_SIZE);
    if (address !== DEVICE_CONTROL_MFN * FRAME_SIZE) throw new Error("the devices' frames must be reserved first");
  }

  /** Takes the interrupts that the host raised since the last time: bit n is physical interrupt n. */
  takeLines(): number {
    if (Atomics.load(this.#words, ControlLayout.lines / 4) === 0) return 0;
    return Atomics.exchange(this.#words, ControlLayout.lines / 4, 0) >>> 0;
  }

  /** A domain with the right to DOORBELL_PORT wrote a queue's number to it. */
  ring(queue: number): void {
    if (queue === 0) this.#ring();
    else if (queue < DEVICE_QUEUES) Atomics.notify(this.#queues[queue], QueueLayout.hostIdle / 4);
  }

  /** The doorbell's count: to be taken before looking for work, and given to `sleep`. */
  doorbell(): number {
    return Atomics.load(this.#words, ControlLayout.doorbell / 4);
  }

  /** Whether the host has requests to take, or works on some that will end by themselves. */
  get busy(): boolean {
    const taken = Atomics.load(this.#queues[0], QueueLayout.submitHead / 4);
    return (
      Atomics.load(this.#queues[0], QueueLayout.submitTail / 4) !== taken ||
      Atomics.load(this.#words, ControlLayout.busy / 4) !== 0
    );
  }

  /** Has a disk's thread something to do that is seldom long? */
  #threadsAtWork(): boolean {
    for (let n = 1; n < DEVICE_QUEUES; n++) {
      const queue = this.#queues[n];
      if (queue[QueueLayout.submitTail / 4] !== queue[QueueLayout.completeTail / 4]) return true;
    }
    return false;
  }

  /** Looks out for the doorbell, unless that was in vain of late; true when it has rung. */
  #look(seen: number): boolean {
    if (this.#skip > 0) {
      this.#skip--;
      return false;
    }
    for (let i = 0; i < LOOKS; i++)
      if (Atomics.load(this.#words, ControlLayout.doorbell / 4) !== seen) {
        this.#vain = 1;
        return true;
      }
    this.#vain = Math.min(this.#vain * 2, MOST_SKIPPED);
    this.#skip = this.#vain;
    return false;
  }

  /** On the virtual clock: waits until the host is not busy. */
  settle(): void {
    while (this.#exact) {
      const seen = this.doorbell();
      if (!this.busy) break;
      this.sleep(seen, Number.POSITIVE_INFINITY);
    }
    this.#settledStop = Atomics.load(this.#words, ControlLayout.stop / 4) === 1;
  }

  /** Whether dom0 has asked the host for the machine's end; on the virtual clock known when the host was waited for. */
  get stopped(): boolean {
    return this.#exact ? this.#settledStop : Atomics.load(this.#words, ControlLayout.stop / 4) === 1;
  }

  /** Counts a turn of the main loop, for the host's watchdog. */
  beat(): void {
    Atomics.add(this.#words, ControlLayout.heartbeat / 4, 1);
  }

  /** Sleeps until the doorbell's count is not `seen`, or for `ns` (Infinity: without end). Only in a worker. */
  sleep(seen: number, ns: number): void {
    if (this.#threadsAtWork() && this.#look(seen)) return;
    Atomics.store(this.#words, ControlLayout.running / 4, 0);
    Atomics.wait(this.#words, ControlLayout.doorbell / 4, seen, Math.min(ns / 1e6, LONGEST_WAIT_MS));
    Atomics.store(this.#words, ControlLayout.running / 4, 1);
  }
}
