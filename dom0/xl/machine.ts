// xl info, dmesg, debug-keys, sched-bvt: the machine as a whole, by sysctl (dom0/toolstack/xc_machine.ts). sched-bvt is an extension
// in the form of xl sched-credit. Called by the shell, as all commands.

import { XEN_SCHEDULER_BVT, XEN_SCHEDULER_CREDIT2 } from "../../shared/abi/domctl.ts";
import * as S from "../../shared/abi/sysctl.ts";
import { printableLines } from "../printable.ts";
import { bvtAllowanceNs, getBvt, setBvt, setBvtAllowanceNs, WEIGHT_SCALE } from "../toolstack/xc_bvt.ts";
import { debugKeys, physInfo, readLog, schedulerId, versionInfo } from "../toolstack/xc_machine.ts";
import { type Command, CommandError } from "./context.ts";
import { findDomain, nameOf } from "./domains.ts";
import { expectWords, parseArguments } from "./options.ts";
import { bvtTable, infoLines } from "./tables.ts";

const SCHEDULERS: Readonly<Record<number, string>> = { [XEN_SCHEDULER_BVT]: "bvt", [XEN_SCHEDULER_CREDIT2]: "credit2" };
const CAPABILITIES = [
  ["pv", S.XEN_SYSCTL_PHYSCAP_pv],
  ["hvm", S.XEN_SYSCTL_PHYSCAP_hvm],
  ["hap", S.XEN_SYSCTL_PHYSCAP_hap],
  ["gnttab-v1", S.XEN_SYSCTL_PHYSCAP_gnttab_v1],
  ["gnttab-v2", S.XEN_SYSCTL_PHYSCAP_gnttab_v2],
] as const;
const PAGES_PER_MIB = 256;

export const info: Command = {
  name: "info",
  usage: "[name]",
  summary: "Get information about Xen host",
  *run({ io, kernel }, args) {
    const { words } = parseArguments("xl info", args, {});
    const [only] = expectWords("xl info", info.usage, words, 0, 1);
    const p = physInfo(kernel);
    const v = versionInfo(kernel);
    const { version } = yield* kernel.host.config();
    const hex = (n: number): string => n.toString(16).padStart(8, "0");
    const mib = (pages: number): number => Math.floor(pages / PAGES_PER_MIB);
    const facts: [string, string | number][] = [
      ["host", "xenolith"],
      ["release", version],
      ["version", "#1 TypeScript"],
      ["machine", "x86_64"],
      ["nr_cpus", p.nrCpus],
      ["max_cpu_id", p.maxCpuId],
      ["nr_nodes", p.nrNodes],
      ["cores_per_socket", p.coresPerSocket],
      ["threads_per_core", p.threadsPerCore],
      ["cpu_mhz", `${Math.floor(p.cpuKhz / 1000)}.${String(p.cpuKhz % 1000).padStart(3, "0")}`],
      ["hw_caps", p.hwCap.map(hex).join(":")],
      [
        "virt_caps",
        CAPABILITIES.filter(([, bit]) => p.capabilities & bit)
          .map(([name]) => name)
          .join(" "),
      ],
      ["total_memory", mib(p.totalPages)],
      ["free_memory", mib(p.freePages - p.outstandingPages)],
      ["sharing_freed_memory", 0],
      ["sharing_used_memory", 0],
      ["outstanding_claims", mib(p.outstandingPages)],
      ["free_cpus", 0],
      ["xen_major", v.major],
      ["xen_minor", v.minor],
      ["xen_extra", v.extra],
      ["xen_version", `${v.major}.${v.minor}${v.extra}`],
      ["xen_caps", v.capabilities],
      ["xen_scheduler", SCHEDULERS[schedulerId(kernel)] ?? "unknown"],
      ["xen_pagesize", v.pageSize],
      ["platform_params", `virt_start=0x${v.virtStart.toString(16)}`],
      ["xen_changeset", v.changeset],
      ["xen_commandline", v.commandline],
      ["cc_compiler", v.compiler],
      ["cc_compile_by", v.compileBy],
      ["cc_compile_domain", v.compileDomain],
      ["cc_compile_date", v.compileDate],
      ["build_id", v.buildId],
      ["xend_config_format", 4],
    ];
    if (only === undefined) yield* io.write(infoLines(facts));
    else {
      const fact = facts.find(([name]) => name === only);
      if (fact === undefined) throw new CommandError(`xl info: there is no "${only}"`);
      yield* io.write(`${fact[1]}\n`);
    }
    return 0;
  },
};

export const dmesg: Command = {
  name: "dmesg",
  usage: "[-c]",
  summary: "Read and/or clear dmesg buffer",
  options: ["-c, --clear             Clear dmesg buffer as well as printing it"],
  *run({ io, kernel }, args) {
    const { words, has } = parseArguments("xl dmesg", args, { clear: { letter: "c", long: "clear" } });
    expectWords("xl dmesg", dmesg.usage, words, 0);
    yield* io.write(printableLines(readLog(kernel, has("clear"))));
    return 0;
  },
};

export const debugKeysCommand: Command = {
  name: "debug-keys",
  usage: "<Keys>",
  summary: "Send debug keys to Xen",
  *run({ kernel }, args) {
    const { words } = parseArguments("xl debug-keys", args, {});
    const [keys] = expectWords("xl debug-keys", debugKeysCommand.usage, words, 1);
    debugKeys(kernel, keys);
    yield* [];
    return 0;
  },
};

const BVT_OPTIONS = {
  domain: { letter: "d", long: "domain", value: true },
  weight: { letter: "w", long: "weight", value: true },
  advance: { letter: "m", long: "mcu-advance", value: true },
  warp: { letter: "W", long: "warp", value: true },
  warpValue: { letter: "v", long: "warp-value", value: true },
  warpLimit: { letter: "l", long: "warp-limit", value: true },
  unwarpLimit: { letter: "u", long: "unwarp-limit", value: true },
  allowance: { letter: "a", long: "ctx-allow", value: true },
} as const;

/** Ten days: more is refused by the hypervisor. */
const MAX_WARP_LIMIT_MS = 864_000_000;

/** An extension: the parameters of Borrowed Virtual Time, as `xl sched-credit` has credit's. */
export const schedBvt: Command = {
  name: "sched-bvt",
  usage: "[-d <Domain> [-w <Weight>|-m <McuAdvance>] [-W on|off] [-v <Value>] [-l <ms>] [-u <ms>]] [-a <us>]",
  summary: "Get/set BVT scheduler parameters (extension)",
  options: [
    "-d, --domain <Domain>       Domain to modify, or to show alone",
    "-w, --weight <Weight>       Weight, 1 to 65535 (256 is a new domain's)",
    "-m, --mcu-advance <N>       The same as the weight's inverse",
    "-W, --warp on|off           Whether the domain is warped",
    "-v, --warp-value <N>        Virtual time by which a warped domain is ahead",
    "-l, --warp-limit <ms>       Longest time warped at once, 0: no bound",
    "-u, --unwarp-limit <ms>     Least time unwarped between",
    "-a, --ctx-allow <us>        Context-switch allowance of the machine",
  ],
  completes: "domain",
  *run(context, args) {
    const { words, options, lastOf } = parseArguments("xl sched-bvt", args, BVT_OPTIONS);
    expectWords("xl sched-bvt", schedBvt.usage, words, 0);
    const { kernel, toolstack, io } = context;
    const number = (name: keyof typeof BVT_OPTIONS, min: number, max: number): number | undefined => {
      const text = lastOf(name);
      if (text === undefined) return undefined;
      if (!/^-?\d{1,10}$/.test(text) || Number(text) < min || Number(text) > max)
        throw new CommandError(`xl sched-bvt: ${BVT_OPTIONS[name].long} is from ${min} to ${max}, not "${text}"`);
      return Number(text);
    };
    const allowanceUs = number("allowance", 10, 1_000_000);
    const name = lastOf("domain");
    const domid = name === undefined ? undefined : findDomain(context, name);
    const changes = options.some((o) => o.name !== "domain" && o.name !== "allowance");
    if (changes) {
      if (domid === undefined) throw new CommandError("Must specify a domain.");
      const old = getBvt(kernel, domid);
      const weight = number("weight", 1, 65535);
      const warp = lastOf("warp");
      if (warp !== undefined && warp !== "on" && warp !== "off")
        throw new CommandError(`xl sched-bvt: warp is on or off, not "${warp}"`);
      setBvt(kernel, domid, {
        mcuAdvance:
          number("advance", 1, WEIGHT_SCALE) ??
          (weight === undefined ? old.mcuAdvance : Math.max(1, Math.round(WEIGHT_SCALE / weight))),
        warp: warp === undefined ? old.warp : warp === "on",
        warpValue: number("warpValue", 0, 0x7fffffff) ?? old.warpValue,
        warpLimitMs: number("warpLimit", 0, MAX_WARP_LIMIT_MS) ?? old.warpLimitMs,
        unwarpLimitMs: number("unwarpLimit", 0, MAX_WARP_LIMIT_MS) ?? old.unwarpLimitMs,
      });
    }
    if (allowanceUs !== undefined) setBvtAllowanceNs(kernel, allowanceUs * 1000);
    if (changes || allowanceUs !== undefined) return 0;
    const domids = domid === undefined ? toolstack.xc.domains().map((d) => d.domid) : [domid];
    const rows = domids.map((id) => {
      const bvt = getBvt(kernel, id);
      return { name: nameOf(context, id), domid: id, weight: Math.round(WEIGHT_SCALE / bvt.mcuAdvance), ...bvt };
    });
    yield* io.write(bvtTable(bvtAllowanceNs(kernel), rows));
    return 0;
  },
};
