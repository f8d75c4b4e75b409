// The life of a domain: created paused, given vcpus, shut down by itself or by a crash, destroyed by its toolstack. Called
// by domctl, sched_op, the test builder and whoever crashes a domain. A domain that was destroyed stays, dead, until nobody
// maps its frames any more; then its id is free again.

import { SHUTDOWN_suspend } from "../shared/abi/sched.ts";
import { EVTCHN_2L_NR_CHANNELS, SharedInfo, VcpuInfo, VIRQ_DOM_EXC, XEN_LEGACY_MAX_VCPUS } from "../shared/abi/xen.ts";
import type { DomId, Mfn } from "../shared/brand.ts";
import { Domain, Dying } from "./domain.ts";
import { EventChannels } from "./events/event_channels.ts";
import { GrantTable } from "./grants/grant_table.ts";
import { CONTINUE } from "./hypercalls/args.ts";
import type { Hypervisor } from "./hypervisor.ts";
import { CpuLayout, CpuState, Reg, Seg } from "./machine/cpu_state.ts";
import { FRAME_SIZE } from "./machine/memory.ts";
import type { Processor } from "./machine/processor.ts";
import { DomainMemory } from "./memory/domain_memory.ts";
import { Vcpu } from "./vcpu.ts";

/** Frames looked at in one go when a domain's memory is taken back, and what each costs on the virtual clock. */
const RELINQUISH_BATCH = 128;
const RELINQUISH_NS = 50;
/** x87 control word and MXCSR as `fninit` and reset leave them. */
const FCW = 0x37f;
const MXCSR = 0x1f80;
/** Xen gives a PV vcpu 100 ticks a second until it says otherwise. */
const DEFAULT_PERIOD_NS = 10_000_000;

export interface DomainConfig {
  readonly id: DomId;
  readonly privileged: boolean;
  readonly processor: Processor;
  readonly handle: Uint8Array;
  readonly maxVcpus: number;
  readonly maxPages: number;
  readonly maxGrantFrames: number;
  /** The highest event channel port that it may have; default: as many as the ABI has. */
  readonly maxEvtchnPort?: number;
  readonly maxMaptrackFrames: number;
}

/** A new domain without vcpus and memory, paused by its controller. Undefined when there is no frame for it. */
export function createDomain(hv: Hypervisor, config: DomainConfig): Domain | undefined {
  const sharedInfo = hv.frames.allocXen();
  if (sharedInfo === -1) return undefined;
  const domain = new Domain(config.id, config.privileged, config.processor, config.handle);
  domain.maxVcpus = config.maxVcpus;
  domain.memory = new DomainMemory(hv.frames, config.id, config.privileged, config.maxPages);
  domain.events = new EventChannels(domain, hv.events, config.maxEvtchnPort ?? EVTCHN_2L_NR_CHANNELS - 1);
  domain.grants = new GrantTable(hv.memory, hv.frames, domain, config.maxGrantFrames, config.maxMaptrackFrames);
  hv.frames.shareWithGuest(sharedInfo, domain, false);
  domain.sharedInfo = sharedInfo;
  const base = sharedInfo * FRAME_SIZE + SharedInfo.offsets.vcpu_info;
  for (let i = 0; i < XEN_LEGACY_MAX_VCPUS; i++)
    hv.memory.u8[base + i * VcpuInfo.size + VcpuInfo.offsets.evtchn_upcall_mask] = 1;
  hv.time.updateWallclock(sharedInfo, 0);
  domain.grants.grow(1);
  domain.pauseCount = 1;
  domain.controllerPauseCount = 1;
  hv.domains.set(config.id, domain);
  hv.sched.addDomain(domain);
  return domain;
}

/** The next vcpu of the domain, down. Undefined when there is no frame for its state. */
export function createVcpu(hv: Hypervisor, domain: Domain): Vcpu | undefined {
  const frame = hv.frames.allocXen();
  if (frame === -1) return undefined;
  const cpu = new CpuState(hv.memory, frame * FRAME_SIZE);
  cpu.setNum(Reg.RFLAGS, 0x202);
  hv.memory.view.setUint16(cpu.address + CpuLayout.fxsave, FCW, true);
  hv.memory.view.setUint32(cpu.address + CpuLayout.fxsave + 24, MXCSR, true);
  const vcpu = new Vcpu(domain, domain.vcpus.length, cpu, hv.vcpuHooks);
  vcpu.vcpuInfo = domain.sharedInfo * FRAME_SIZE + SharedInfo.offsets.vcpu_info + vcpu.id * VcpuInfo.size;
  vcpu.runstateSince = hv.time.now();
  vcpu.periodicNs = DEFAULT_PERIOD_NS;
  hv.time.updateVcpuTime(vcpu.vcpuInfo);
  domain.vcpus.push(vcpu);
  return vcpu;
}

/** domain_shutdown: the domain stops; its toolstack hears of it. The first reason given is the one that counts. */
export function shutdownDomain(hv: Hypervisor, domain: Domain, reason: number): void {
  if (domain.shutdownReason === -1) domain.shutdownReason = reason;
  if (domain.isShutDown) return;
  domain.isShutDown = true;
  hv.sched.pause(domain);
  if (domain.shutdownReason === SHUTDOWN_suspend && domain.suspendPort !== 0) domain.events.send(domain.suspendPort);
  else hv.events.sendGlobalVirq(VIRQ_DOM_EXC);
}

/** XEN_DOMCTL_resumedomain: a domain that suspended goes on. */
export function resumeDomain(hv: Hypervisor, domain: Domain): void {
  domain.shutdownReason = -1;
  if (!domain.isShutDown) return;
  domain.isShutDown = false;
  hv.sched.unpause(domain);
}

/** domain_kill: takes everything back, a piece at a time. CONTINUE until it is dead, then 0. */
export function killDomain(hv: Hypervisor, domain: Domain): number {
  if (domain.dying === Dying.Dead) return 0;
  if (domain.dying === Dying.Alive) {
    domain.dying = Dying.Dying;
    hv.sched.pause(domain);
    domain.events.closeAll();
    for (const vcpu of domain.vcpus) retireVcpu(hv, vcpu);
    for (const timer of domain.watchdogs) if (timer !== undefined) hv.time.timers.stop(timer);
  }
  hv.charge(RELINQUISH_BATCH * RELINQUISH_NS);
  if (hv.grants.mappings.releaseAll(domain, RELINQUISH_BATCH) > 0) return CONTINUE;
  const left = hv.mm.relinquish(domain, RELINQUISH_BATCH);
  hv.mm.types.work = 0; // It is among the frames' cost.
  if (left > 0) return CONTINUE;
  domain.dying = Dying.Dead;
  hv.sched.removeDomain(domain);
  for (const { cpu } of domain.vcpus) {
    cpu.moveHome();
    hv.frames.freeXen((cpu.address / FRAME_SIZE) as Mfn);
  }
  domain.vcpus.length = 0;
  // A kernel in TypeScript ends here, even if others keep frames of its domain.
  domain.processor = hv.x86;
  domain.memory.whenReleased(() => hv.domains.delete(domain.id));
  hv.events.sendGlobalVirq(VIRQ_DOM_EXC);
  return 0;
}

/** The vcpu never runs again: its timers stop, its tables and its registered vcpu_info are given up. */
function retireVcpu(hv: Hypervisor, vcpu: Vcpu): void {
  hv.sched.endPoll(vcpu);
  for (const timer of [vcpu.singleshotTimer, vcpu.periodicTimer, vcpu.pollTimer]) hv.time.timers.stop(timer);
  vcpu.vcpuInfo = vcpu.domain.sharedInfo * FRAME_SIZE + SharedInfo.offsets.vcpu_info + vcpu.id * VcpuInfo.size;
  if (vcpu.vcpuInfoFrame !== 0) hv.mm.types.putPageAndType(vcpu.vcpuInfoFrame);
  vcpu.vcpuInfoFrame = 0 as Mfn;
  vcpu.runstateArea = -1;
  vcpu.timeArea = -1;
  hv.mm.releaseVcpu(vcpu);
}

const GENERAL = ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"];

/** Logs why a domain is crashed, and the registers of the vcpu that runs. */
export function reportState(hv: Hypervisor, domain: Domain, reason: string): void {
  const vcpu = hv.current?.domain === domain ? hv.current : undefined;
  // A domain crashes once, so these lines need no limit, and no other guest's noise can hide them.
  const log = (line: string): void => hv.log.line(line);
  log(`Domain ${domain.id}${vcpu === undefined ? "" : ` (vcpu#${vcpu.id})`} crashed: ${reason}`);
  if (vcpu === undefined) return;
  const cpu = vcpu.cpu;
  const hex = (reg: number): string => cpu.big(reg).toString(16).padStart(16, "0");
  const selector = (seg: number): string => cpu.selector(seg).toString(16).padStart(4, "0");
  log(`RIP:    ${selector(Seg.CS)}:[<${hex(Reg.RIP)}>]`);
  const mode = vcpu.kernelMode ? "kernel" : "user";
  log(`RFLAGS: ${hex(Reg.RFLAGS)}   CONTEXT: pv guest (d${domain.id}v${vcpu.id}), ${mode} mode`);
  const name = (reg: number): string => (reg < 8 ? GENERAL[reg] : reg === 8 || reg === 9 ? ` r${reg}` : `r${reg}`);
  const rows = [
    [Reg.RAX, Reg.RBX, Reg.RCX],
    [Reg.RDX, Reg.RSI, Reg.RDI],
    [Reg.RBP, Reg.RSP, Reg.R8],
    [Reg.R9, Reg.R10, Reg.R11],
    [Reg.R12, Reg.R13, Reg.R14],
  ];
  for (const row of rows) log(row.map((reg) => `${name(reg)}: ${hex(reg)}`).join("   "));
  const cr3 = (vcpu.cpu.field(CpuLayout.cr3) * FRAME_SIZE).toString(16).padStart(16, "0");
  log(`r15: ${hex(Reg.R15)}   cr3: ${cr3}   cr2: ${hex(Reg.CR2)}`);
  log(`fsb: ${hex(Reg.FS_BASE)}   gsb: ${hex(Reg.GS_BASE)}   gss: ${hex(Reg.GS_BASE_OTHER)}`);
}
