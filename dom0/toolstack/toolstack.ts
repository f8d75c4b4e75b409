// The toolstack: makes domains from configurations, ends them, and does what their configuration says when they end by
// themselves (on_poweroff, on_reboot, on_crash). Called by xl; one for the machine. Everything that changes the set of
// domains runs one at a time. A creation that fails is undone wholly, in reverse.

import { HostError, type Kernel, Mutex, type Task, WaitQueue } from "../../guests/sdk/index.ts";
import { SHUTDOWN_suspend } from "../../shared/abi/sched.ts";
import type { DomId } from "../../shared/brand.ts";
import type { Backends } from "../backends/index.ts";
import type { ConsoleDaemon } from "../consoled/index.ts";
import { domainPath, RELEASE_DOMAIN, type XsClient } from "../xenstored/index.ts";
import { buildDomain } from "./builder/build.ts";
import { Channels } from "./channels.ts";
import type { DiskConfig } from "./config/disk.ts";
import type { DomainConfig } from "./config/index.ts";
import type { VifConfig } from "./config/vif.ts";
import { actionFor, preservedName } from "./death.ts";
import { removeBackends } from "./devices.ts";
import { Disks } from "./disks.ts";
import { describeError, ToolstackError } from "./errors.ts";
import type { ImageStore } from "./image/index.ts";
import { Nics } from "./nics.ts";
import { prepare } from "./prepare.ts";
import { makeUuid, parseUuid } from "./uuid.ts";
import { isNamed, Xc } from "./xc.ts";
import { OutOfMemory } from "./xc_build.ts";
import { getBvt, setBvt, WEIGHT_SCALE } from "./xc_bvt.ts";
import { removeDomain, renameDomain, writeDom0, writeDomain, writeRings } from "./xenstore_entries.ts";

/** A domain that this toolstack made. */
export interface Managed {
  readonly domid: DomId;
  readonly uuid: string;
  config: DomainConfig;
  readonly startedMs: number;
  /** Why it has shut down (SHUTDOWN_), from when that is dealt with on. */
  shutdownReason: number | undefined;
  /** The domain that was made in its place. */
  successor: DomId | undefined;
  /** Why no domain could be made in its place. */
  restartFailure: string | undefined;
  /** It has ended and all that follows from it, a successor too, has happened. */
  settled: boolean;
}

/** KiB by which libxl lets a domain exceed its maximum (LIBXL_MAXMEM_CONSTANT). */
const MAXMEM_SLACK_KIB = 1024;

export class Toolstack {
  readonly xc: Xc;
  readonly disks: Disks;
  readonly nics: Nics;
  readonly channels: Channels;
  readonly #kernel: Kernel;
  readonly #xs: XsClient;
  readonly #consoles: ConsoleDaemon;
  readonly #backends: Backends;
  readonly #images: ImageStore;
  readonly #managed = new Map<number, Managed>();
  readonly #lock = new Mutex();
  #made = 0;
  /** Woken whenever a domain has shut down, was destroyed or was made in another's place. */
  readonly changed = new WaitQueue();

  constructor(kernel: Kernel, xs: XsClient, consoles: ConsoleDaemon, backends: Backends, images: ImageStore) {
    this.#kernel = kernel;
    this.#xs = xs;
    this.#consoles = consoles;
    this.#backends = backends;
    this.disks = new Disks(kernel, xs, backends);
    this.nics = new Nics(kernel, xs, backends);
    this.channels = new Channels(xs, backends);
    this.#images = images;
    this.xc = new Xc(kernel);
    const pages = this.xc.domainInfo(0)?.totPages ?? 0;
    xs.transaction((view) => writeDom0(view, pages * 4));
  }

  /** The thread that deals with domains which end. Needs an XsClient of its own, for its watch. */
  *watchDeaths(xs: XsClient): Task {
    xs.watch(RELEASE_DOMAIN, "toolstack");
    while ((yield* xs.events.receive()) !== undefined) yield* this.#lock.run(() => this.#handleDeaths());
  }

  /** The domain of that name or number, among all that exist; undefined when there is none. */
  find(nameOrId: string): DomId | undefined {
    if (/^\d{1,5}$/.test(nameOrId)) return this.xc.domainInfo(Number(nameOrId))?.domid;
    return this.xc.domains().find(({ domid }) => this.nameOf(domid) === nameOrId)?.domid;
  }

  nameOf(domid: number): string | undefined {
    return this.#xs.read(`${domainPath(domid)}/name`);
  }

  managed(domid: number): Managed | undefined {
    return this.#managed.get(domid);
  }

  /** All domains that this toolstack made and that still exist. */
  get all(): Managed[] {
    return [...this.#managed.values()];
  }

  /** Makes a domain and leaves it paused. Throws what describeError can put into words; then nothing is left of it. */
  *create(config: DomainConfig): Task<DomId> {
    return yield* this.#lock.run(() => this.#create(config));
  }

  unpause(domid: DomId): void {
    this.xc.unpauseDomain(domid);
  }

  /** Ends a domain at once. */
  *destroy(domid: DomId): Task {
    yield* this.#lock.run(() => this.#destroy(domid));
  }

  /** Gives a domain that runs another disk. Throws ToolstackError. */
  *attachDisk(domid: DomId, disk: DiskConfig): Task {
    const [found] = yield* this.disks.find([disk], "");
    yield* this.#lock.run(() => {
      if (!this.#managed.has(domid)) throw new ToolstackError(`domain ${domid} is gone`);
      return this.disks.attach(domid, found);
    });
  }

  /** Gives a domain that runs another network interface. Throws ToolstackError. */
  *attachNic(domid: DomId, vif: VifConfig): Task {
    yield* this.#lock.run(() => {
      if (!this.#managed.has(domid)) throw new ToolstackError(`domain ${domid} is gone`);
      return this.nics.attach(domid, vif);
    });
  }

  /** Asks the guest to shut down ("poweroff", "reboot"): it must listen at control/shutdown. */
  requestShutdown(domid: DomId, reason: "poweroff" | "reboot"): void {
    this.#xs.write(`${domainPath(domid)}/control/shutdown`, reason, [`n${domid}`]);
  }

  /** Throws ToolstackError when the name is taken. */
  rename(domid: DomId, name: string): void {
    this.#checkNameFree(name);
    const managed = this.#managed.get(domid);
    if (managed === undefined) throw new ToolstackError(`domain ${domid} can't be renamed`);
    managed.config = { ...managed.config, name };
    this.#xs.transaction((view) => renameDomain(view, domid, managed.uuid, name));
  }

  *#create(config: DomainConfig): Task<DomId> {
    this.#checkNameFree(config.name);
    const { image, layout, ramdisk } = yield* prepare(this.#kernel, config, this.#images);
    const disks = yield* this.disks.find(config.disks, config.file);
    const startedMs = this.#kernel.clock.wallclockMs();
    const uuid = config.uuid ?? makeUuid(`${config.name} ${startedMs} ${this.#made++}`);
    if (this.all.some((m) => m.uuid === uuid)) throw new ToolstackError(`a domain with UUID ${uuid} exists already`);
    const domid = this.xc.createDomain(parseUuid(uuid), config.maxVcpus);
    const managed: Managed = {
      domid,
      uuid,
      config,
      startedMs,
      shutdownReason: undefined,
      successor: undefined,
      restartFailure: undefined,
      settled: false,
    };
    this.#managed.set(domid, managed);
    let whole = false;
    try {
      this.#xs.transaction((view) => writeDomain(view, { domid, uuid, config, startedMs }));
      this.xc.setMaxVcpus(domid, config.maxVcpus);
      this.xc.setMaxMem(domid, config.maxmemMiB * 1024 + MAXMEM_SLACK_KIB);
      this.xc.setMemoryMap(domid, config.maxmemMiB * 1024);
      const { sharedInfoMfn: sharedInfo } = this.xc.domainInfo(domid)!;
      const { cmdline } = config;
      const built = yield* buildDomain(this.#kernel, { domid, image, layout, ramdisk, cmdline, sharedInfo });
      this.#xs.transaction((view) =>
        writeRings(view, {
          domid,
          storeFrame: built.storeMfn,
          storePort: built.storePort,
          consoleFrame: built.consoleMfn,
          consolePort: built.consolePort,
        }),
      );
      this.#xs.introduce(domid, built.storeMfn, built.storePort);
      this.#consoles.open(domid);
      for (const disk of disks) yield* this.disks.attach(domid, disk);
      for (const vif of config.vifs) yield* this.nics.attach(domid, vif);
      for (const [i, channel] of config.channels.entries()) yield* this.channels.attach(domid, i + 1, channel);
      if (config.cpuWeight !== undefined) this.#setWeight(domid, config.cpuWeight);
      whole = true;
    } catch (error) {
      throw error instanceof OutOfMemory ? new ToolstackError(`not enough free memory for ${config.name}`) : error;
    } finally {
      // Also when the thread that creates is cancelled.
      if (!whole) yield* this.#destroy(domid);
    }
    return domid;
  }

  #setWeight(domid: DomId, weight: number): void {
    const mcuAdvance = Math.max(1, Math.round(WEIGHT_SCALE / weight));
    setBvt(this.#kernel, domid, { ...getBvt(this.#kernel, domid), mcuAdvance });
  }

  *#destroy(domid: DomId): Task {
    const managed = this.#managed.get(domid);
    try {
      this.xc.pauseDomain(domid);
    } catch (error) {
      if (!isNamed(error, "ESRCH") && !isNamed(error, "EINVAL")) throw error;
    }
    // Dom0 lets go of the domain's pages first, so that all its memory comes back.
    this.#consoles.close(domid);
    yield* this.#backends.closeDomain(domid);
    this.#xs.release(domid);
    try {
      yield* this.xc.destroyDomain(domid);
    } catch (error) {
      if (!isNamed(error, "ESRCH")) throw error;
    }
    this.#managed.delete(domid);
    if (managed) {
      this.#xs.transaction((view) => {
        removeBackends(view, domid, this.#backends.kinds);
        removeDomain(view, domid, managed.uuid);
      });
      if (managed.shutdownReason === undefined) managed.settled = true; // While a shutdown is dealt with, a successor may follow.
    }
    this.changed.wakeAll();
  }

  *#handleDeaths(): Task {
    for (const managed of [...this.#managed.values()]) {
      try {
        const info = this.xc.domainInfo(managed.domid);
        if (info === undefined || info.dying) yield* this.#destroy(managed.domid);
        else if (info.shutdown && managed.shutdownReason === undefined) {
          managed.shutdownReason = info.shutdownReason;
          yield* this.#handleShutdown(managed, info.shutdownReason);
        }
      } catch (error) {
        // Other domains' ends must still be dealt with.
        this.#kernel.log(`toolstack: ${error instanceof Error ? (error.stack ?? error.message) : error}`);
      }
    }
  }

  *#handleShutdown(managed: Managed, reason: number): Task {
    try {
      yield* this.#carryOut(managed, reason);
    } finally {
      managed.settled = true;
      this.changed.wakeAll();
    }
  }

  *#carryOut(managed: Managed, reason: number): Task {
    const { domid, config } = managed;
    const action = actionFor(config, reason);
    this.#log(config.name, `Domain ${domid} has shut down, reason code ${reason} 0x${reason.toString(16)}`);
    if (reason === SHUTDOWN_suspend) return;
    this.#log(config.name, `Action for shutdown reason code ${reason} is ${action}`);
    this.#consoles.endOutput(domid);
    if (action !== "rename-restart" && action !== "preserve") yield* this.#destroy(domid);
    if (action !== "restart" && action !== "rename-restart") return;
    try {
      // The name has minutes: one that ends twice in one is left as it is, and isn't made again, as by the real xl.
      if (action === "rename-restart") this.rename(domid, preservedName(config.name, this.#kernel.clock.wallclockMs()));
      // A preserved domain keeps its UUID; the new one gets another.
      const again = action === "restart" ? config : { ...config, uuid: undefined };
      managed.successor = yield* this.#create(again);
      this.unpause(managed.successor);
    } catch (error) {
      managed.restartFailure = describeError(error) ?? String(error);
      this.#log(config.name, `failed to restart: ${managed.restartFailure}`);
      if (describeError(error) === undefined) throw error;
    }
  }

  /** To the log of xl for that domain, by a thread of its own: nothing waits for a disk. */
  #log(name: string, line: string): void {
    const file = `xl-${name.replaceAll(/[^A-Za-z0-9\-._]/g, "_")}.log`;
    this.#kernel.spawn(file, this.#append(file, `${line}\n`));
  }

  *#append(file: string, text: string): Task {
    try {
      yield* this.#kernel.host.appendLog(file, text);
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      this.#kernel.log(`toolstack: ${describeError(error)}`); // The disk is full, say.
    }
  }

  #checkNameFree(name: string): void {
    const taken = this.xc.domains().some(({ domid }) => this.nameOf(domid) === name);
    if (taken) throw new ToolstackError(`Domain with name "${name}" already exists.`);
  }
}
