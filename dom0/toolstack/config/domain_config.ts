// What an xl.cfg file asks for, checked and typed: the settings of xl.cfg(5) that this toolstack knows. Called by xl
// create. Devices and guest types that don't exist here are refused by name; settings of the real xl that have no effect
// here are accepted in silence, and names that no xl knows give a warning.

import { clipped } from "../../printable.ts";
import { type ChannelConfig, parseChannel } from "./channel.ts";
import { type DiskConfig, parseDisk } from "./disk.ts";
import { ConfigError, ItemError } from "./errors.ts";
import type { Setting, Settings } from "./parser.ts";
import { parseVif, type VifConfig } from "./vif.ts";

export const SHUTDOWN_ACTIONS = [
  "destroy",
  "restart",
  "rename-restart",
  "preserve",
  "coredump-destroy",
  "coredump-restart",
  "soft-reset",
] as const;
export type ShutdownAction = (typeof SHUTDOWN_ACTIONS)[number];

export interface DomainConfig {
  /** The file it came from, as the person named it. */
  readonly file: string;
  readonly name: string;
  /** As given, in lower case with hyphens; undefined: the toolstack makes one. */
  readonly uuid: string | undefined;
  readonly kernel: string;
  readonly ramdisk: string | undefined;
  readonly cmdline: string;
  /** MiB at the start, and the most that it may have. */
  readonly memoryMiB: number;
  readonly maxmemMiB: number;
  /** Vcpus that the guest is told to bring up, and how many there are. */
  readonly vcpus: number;
  readonly maxVcpus: number;
  /** BVT weight (1 to 65535), an extension through the real `cpu_weight`. */
  readonly cpuWeight: number | undefined;
  readonly disks: readonly DiskConfig[];
  readonly vifs: readonly VifConfig[];
  readonly channels: readonly ChannelConfig[];
  readonly onPoweroff: ShutdownAction;
  readonly onReboot: ShutdownAction;
  readonly onCrash: ShutdownAction;
  readonly onWatchdog: ShutdownAction;
  readonly onSoftReset: ShutdownAction;
}

/** Most vcpus of a PV guest here: those that have a vcpu_info in shared_info (XEN_LEGACY_MAX_VCPUS). */
export const MAX_VCPUS = 32;
const MAX_MEMORY_MIB = 4096;
const DEFAULT_MEMORY_MIB = 32; // as libxl
const MAX_NAME = 40;
const MAX_CMDLINE = 1023; // start_info.cmd_line holds 1024 bytes with the final zero

/** Settings that ask for something which isn't there: refused unless they are empty or zero. */
const NOT_SUPPORTED = [
  "vif2",
  "pci",
  "vtpm",
  "vfb",
  "vkb",
  "usbctrl",
  "usbdev",
  "p9",
  "vdispl",
  "vsnd",
  "pvcalls",
  "dtdev",
  "ioports",
  "iomem",
  "irqs",
  "bootloader",
  "vnc",
  "vuart",
  "vnuma",
] as const;

/** Settings of the real xl which change nothing for a PV guest here. */
const WITHOUT_EFFECT =
  `acpi apic autoballoon bios blkdev_start bootloader_args boot builder cap claim_mode cpuid cpus cpus_soft
  device_model_version driver_domain e820_host extratime hap init_seclabel keymap latency localtime
  max_event_channels max_grant_frames max_grant_version max_maptrack_frames mca_caps msr_relaxed nestedhvm nographic nomigrate
  nx oos pae passthrough pci_msitranslate pci_permissive pci_power_mgmt pci_seize period pool rdm rtc_timeoffset sdl
  seclabel serial shadow_memory slice stdvga tee timer_mode tsc_mode usb vga videoram viridian vmtrace_buf_kb vncviewer vpmu
  xen_platform_pci xend_suspend_evtchn_compat`.split(/\s+/);

const KNOWN = new Set<string>([
  ..."name uuid type kernel ramdisk cmdline extra root memory maxmem vcpus maxvcpus cpu_weight disk vif channel".split(
    " ",
  ),
  ..."on_poweroff on_reboot on_crash on_watchdog on_soft_reset".split(" "),
  ...NOT_SUPPORTED,
  ...WITHOUT_EFFECT,
]);

/** The typed view of `settings` read from `file`; `warn` gets one line for each warning. Throws ConfigError. */
export function domainConfig(file: string, settings: Settings, warn: (line: string) => void): DomainConfig {
  const read = new Reader(file, settings);
  for (const setting of settings.values())
    if (!KNOWN.has(setting.name))
      warn(`${setting.file}:${setting.line}: warning: unknown setting "${clipped(setting.name)}" is ignored`);
  checkType(read);
  for (const key of NOT_SUPPORTED) read.refuse(key);

  const name = read.text("name");
  if (name === undefined) throw read.missing("Domain name must be specified");
  checkName(read, name);
  const kernel = read.text("kernel");
  if (!kernel) throw read.missing('kernel must be specified, as in kernel = "path/to/kernel"');
  const memoryMiB = read.number("memory", 1, MAX_MEMORY_MIB) ?? DEFAULT_MEMORY_MIB;
  const maxmemMiB = read.number("maxmem", 1, MAX_MEMORY_MIB) ?? memoryMiB;
  if (maxmemMiB < memoryMiB) throw read.wrong("maxmem", `maxmem (${maxmemMiB}) is less than memory (${memoryMiB})`);
  const vcpus = read.number("vcpus", 1, MAX_VCPUS) ?? 1;
  const maxVcpus = read.number("maxvcpus", 1, MAX_VCPUS) ?? vcpus;
  if (maxVcpus < vcpus) throw read.wrong("maxvcpus", `maxvcpus (${maxVcpus}) is less than vcpus (${vcpus})`);
  return {
    file,
    name,
    uuid: uuid(read),
    kernel,
    ramdisk: read.text("ramdisk") || undefined,
    cmdline: cmdline(read, warn),
    memoryMiB,
    maxmemMiB,
    vcpus,
    maxVcpus,
    cpuWeight: read.number("cpu_weight", 1, 65535),
    disks: read.each("disk", parseDisk),
    vifs: read.each("vif", (text) => parseVif(text, warn)),
    channels: read.each("channel", (text) => parseChannel(text, warn)),
    onPoweroff: read.action("on_poweroff", "destroy"),
    onReboot: read.action("on_reboot", "restart"),
    onCrash: read.action("on_crash", "destroy"),
    onWatchdog: read.action("on_watchdog", "destroy"),
    onSoftReset: read.action("on_soft_reset", "soft-reset"),
  };
}

function checkType(read: Reader): void {
  const type = read.text("type") ?? "pv";
  if (type === "hvm" || type === "pvh")
    throw read.wrong("type", `type "${type}" needs hardware virtualization; use "pv"`);
  if (type !== "pv") throw read.wrong("type", `Invalid domain type ${clipped(type)}; use "pv"`);
  const builder = read.text("builder") ?? "generic";
  if (builder !== "generic")
    throw read.wrong("builder", `builder "${clipped(builder)}" is not supported; use "generic"`);
}

function checkName(read: Reader, name: string): void {
  if (name === "") throw read.wrong("name", "the domain's name is empty");
  if (name.length > MAX_NAME) throw read.wrong("name", `the domain's name is longer than ${MAX_NAME} characters`);
  if (!/^[A-Za-z0-9_.:@+-]+$/.test(name))
    throw read.wrong("name", `the domain's name may have letters, digits and _ . : @ + - only`);
  if (/^[0-9]+$/.test(name))
    throw read.wrong("name", "the domain's name is a number, which would be taken for a domain id");
}

function uuid(read: Reader): string | undefined {
  const text = read.text("uuid");
  if (text === undefined) return undefined;
  const digits = text.toLowerCase().replaceAll("-", "");
  if (!/^[0-9a-f]{32}$/.test(digits)) throw read.wrong("uuid", `Failed to parse UUID: ${clipped(text)}`);
  return [digits.slice(0, 8), digits.slice(8, 12), digits.slice(12, 16), digits.slice(16, 20), digits.slice(20)].join(
    "-",
  );
}

function cmdline(read: Reader, warn: (line: string) => void): string {
  const whole = read.text("cmdline");
  const root = read.text("root");
  const extra = read.text("extra");
  if (whole !== undefined && (root !== undefined || extra !== undefined))
    warn("Warning: ignoring root= and extra= in favour of cmdline=");
  const parts = [root === undefined ? undefined : `root=${root}`, extra];
  const line = whole ?? parts.filter((p) => p !== undefined).join(" ");
  if (new TextEncoder().encode(line).length > MAX_CMDLINE) {
    const key = whole !== undefined ? "cmdline" : extra !== undefined ? "extra" : "root";
    throw read.wrong(key, `the command line is longer than ${MAX_CMDLINE} bytes`);
  }
  return line;
}

/** Reads single settings with their checks; every error names the setting's place. */
class Reader {
  readonly #file: string;
  readonly #settings: Settings;

  constructor(file: string, settings: Settings) {
    this.#file = file;
    this.#settings = settings;
  }

  text(key: string): string | undefined {
    const setting = this.#settings.get(key);
    if (!setting) return undefined;
    if (setting.value.kind === "list") throw at(setting, `parameter "${key}" is a list but should be a single value`);
    return setting.value.text;
  }

  number(key: string, min: number, max: number): number | undefined {
    const text = this.text(key);
    if (text === undefined) return undefined;
    const trimmed = text.trim();
    const octal = /^0[0-7]+$/.test(trimmed);
    if (!octal && !/^-?(0[xX][0-9a-fA-F]+|0|[1-9][0-9]*)$/.test(trimmed))
      throw this.wrong(key, `parameter "${key}" is not a valid number: "${clipped(text)}"`);
    const value = octal ? Number.parseInt(trimmed, 8) : Number(trimmed);
    if (!(value >= min)) throw this.wrong(key, `${key} is ${clipped(trimmed)}, less than the least, ${min}`);
    if (value > max) throw this.wrong(key, `${key} is ${clipped(trimmed)}, more than the most, ${max}`);
    return value;
  }

  action(key: string, fallback: ShutdownAction): ShutdownAction {
    const text = this.text(key);
    if (text === undefined) return fallback;
    const action = SHUTDOWN_ACTIONS.find((a) => a === text);
    if (action?.startsWith("coredump")) throw this.wrong(key, `${key} action "${action}" is not supported yet`);
    if (!action)
      throw this.wrong(key, `Unknown ${key} action "${clipped(text)}" specified; use ${SHUTDOWN_ACTIONS.join(", ")}`);
    return action;
  }

  /** The items of a list of texts, each as `parse` understands it; its ItemError gets the item's place. */
  each<T>(key: string, parse: (text: string) => T): T[] {
    const setting = this.#settings.get(key);
    if (!setting) return [];
    const items = setting.value.kind === "list" ? setting.value.items : [setting.value];
    return items.map((item) => {
      const wrong = (what: string) => new ConfigError(setting.file, item.line, item.column, what);
      if (item.kind === "list") throw wrong(`parameter "${key}" holds a list where a text should be`);
      try {
        return parse(item.text);
      } catch (error) {
        if (!(error instanceof ItemError)) throw error;
        throw wrong(`${key} "${clipped(item.text)}": ${clipped(error.message, 300)}`);
      }
    });
  }

  refuse(key: string): void {
    const setting = this.#settings.get(key);
    if (!setting) return;
    const { value } = setting;
    const empty = value.kind === "list" ? value.items.length === 0 : value.text === "" || value.text === "0";
    if (!empty) throw at(setting, `"${key}" is not supported yet`);
  }

  wrong(key: string, what: string): ConfigError {
    const setting = this.#settings.get(key);
    return setting ? at(setting, what) : this.missing(what);
  }

  missing(what: string): ConfigError {
    return new ConfigError(this.#file, 0, 0, what);
  }
}

function at(setting: Setting, what: string): ConfigError {
  return new ConfigError(setting.file, setting.value.line, setting.value.column, what);
}
