// The hypervisor: its parts wired together, and the main loop: serve interrupts and due timers, choose a vcpu, deliver
// what is pending for it, run it, handle the exit. Made by index.ts; called by the machine's host loop through step().
// There is no state outside of this object. What each part does is in its own file; what a hypercall does in hypercalls/.

import { SHUTDOWN_crash } from "../shared/abi/sched.ts";
import type { Of } from "../shared/abi/struct.ts";
import { DOMID_SELF, MmuextOp, MmuUpdate, VIRQ_CON_RING } from "../shared/abi/xen.ts";
import type { DomId } from "../shared/brand.ts";
import { DOORBELL_PORT } from "../shared/devices.ts";
import { type Domain, Dying } from "./domain.ts";
import { ZERO } from "./doubles.ts";
import { Events } from "./events/events.ts";
import { Grants } from "./grants/grants.ts";
import { CONTINUE, NO_RESULT } from "./hypercalls/args.ts";
import { Dispatcher } from "./hypercalls/dispatch.ts";
import { reportState, shutdownDomain } from "./lifecycle.ts";
import { MAX_DOMID, REAL_SLICE_NS, SCRATCH_BYTES, VIRTUAL_DEVICE_NS, VIRTUAL_SLICE_NS } from "./limits.ts";
import { HypervisorLog } from "./log.ts";
import { DeviceBus } from "./machine/devices.ts";
import type { MachineMemory } from "./machine/memory.ts";
import { Exit, type ProcessorHost, type Tlb } from "./machine/processor.ts";
import type { CompileKernel } from "./machine/ts/script.ts";
import { PageWalker } from "./machine/walk.ts";
import { X86Processor } from "./machine/x86/index.ts";
import { FrameTable } from "./memory/frame_table.ts";
import { GuestAccess, makeWords, type Words } from "./memory/guest_access.ts";
import { MachineToPhys } from "./memory/m2p.ts";
import { MemoryManagement } from "./memory/mmu.ts";
import type { Profile } from "./profile.ts";
import { Bvt } from "./sched/bvt.ts";
import { SchedCore } from "./sched/core.ts";
import type { Clock } from "./time/clock.ts";
import { Time } from "./time/time.ts";
import { Timer } from "./time/timers.ts";
import { enterVcpu, leaveVcpu, vcpuHooks } from "./time/vcpu_time.ts";
import { Trace } from "./trace.ts";
import { moveRip, Traps } from "./traps/traps.ts";
import type { Vcpu, VcpuHooks } from "./vcpu.ts";

/** Length of `syscall`. */
const SYSCALL_BYTES = 2;
/** Instructions a run is given at least on the real clock: fewer and the crossing costs more than the work. */
const MIN_REAL_BUDGET = 1000;
/** Exits, or looks at whether others must run, between two looks at the real clock (a power of 2): each costs 60 ns. */
const CLOCK_EVERY = 32;
/** Instructions per nanosecond assumed before the first measurement. */
const FIRST_RATE = 0.1;

export interface HypervisorOptions {
  readonly clock: Clock;
  /** Nanoseconds since 1970 at boot. */
  readonly wallclockAtBoot: bigint;
  readonly devices: DeviceBus | undefined;
  readonly guestConsoleIo: boolean;
  readonly profile?: Profile | undefined;
  readonly compileKernel?: CompileKernel | undefined;
}

export class Hypervisor {
  readonly memory: MachineMemory;
  readonly walker: PageWalker;
  readonly tlb: Tlb;
  /** Runs machine code. A domain names its own processor in `domain.processor`. */
  readonly x86: X86Processor;
  readonly devices: DeviceBus | undefined;
  readonly frames: FrameTable;
  readonly mm: MemoryManagement;
  readonly access: GuestAccess;
  readonly grants: Grants;
  readonly events: Events;
  readonly bvt: Bvt;
  readonly sched: SchedCore;
  readonly time: Time;
  readonly traps: Traps;
  readonly log: HypervisorLog;
  readonly trace = new Trace();
  /** Undefined unless somebody profiles. */
  readonly profile: Profile | undefined;
  readonly dispatcher: Dispatcher;
  readonly domains = new Map<DomId, Domain>();
  readonly vcpuHooks: VcpuHooks;
  /** May a domU write to the log by console_io? Debian's Xen says no. */
  readonly guestConsoleIo: boolean;
  /** Makes kernels of the text of script images; undefined: domUs are of machine code only. */
  readonly compileKernel: CompileKernel | undefined;
  /** The vcpu whose hypercall, trap or slice is being handled. */
  current!: Vcpu;
  /** 64 KiB for copied arguments; handlers that call each other agree on who uses what. */
  readonly scratch: DataView<ArrayBuffer>;
  readonly scratchBytes: Uint8Array<ArrayBuffer>;
  /** The same bytes as words. */
  readonly scratchWords: Words;
  /** Its first bytes as a request of mmu_update and of mmuext_op, the most frequent arguments of all. */
  readonly mmuRequest: Of<typeof MmuUpdate>;
  readonly mmuextRequest: Of<typeof MmuextOp>;
  readonly #virtual: boolean;
  /** Instructions per nanosecond of the x86 processor, measured on the real clock. */
  #rate = FIRST_RATE;
  #lastDomid = 0;
  /** On the virtual clock: when the host's answers are waited for, so that its own timing doesn't show. */
  readonly #answers = new Timer(() => this.#takeAnswers());
  /** What is left of the present run-through, ns: by the clock if virtual, estimated if real. */
  #remaining = ZERO;
  /** When it ends at the latest, and how often that was asked. */
  #end = ZERO;
  #asked = 0;

  /** Takes its memory from the bottom of `memory`, so nothing else may have been reserved but by devices. */
  constructor(memory: MachineMemory, options: HypervisorOptions) {
    this.memory = memory;
    this.time = new Time(memory, options.clock, options.wallclockAtBoot);
    this.#virtual = options.clock.virtual;
    this.log = new HypervisorLog(() => this.time.now());
    this.guestConsoleIo = options.guestConsoleIo;
    this.profile = options.profile;
    this.compileKernel = options.compileKernel;
    this.devices = options.devices;
    this.scratchWords = makeWords(SCRATCH_BYTES / 4);
    this.scratchBytes = this.scratchWords.u8;
    this.scratch = new DataView(this.scratchBytes.buffer);
    this.mmuRequest = MmuUpdate.at(this.scratch);
    this.mmuextRequest = MmuextOp.at(this.scratch);

    DeviceBus.reserve(memory);
    this.walker = new PageWalker(memory);
    this.x86 = new X86Processor(memory, this.walker, this.processorHost());
    this.x86.exact = this.#virtual;
    this.tlb = this.x86.tlb;
    const m2p = new MachineToPhys(memory);
    this.frames = new FrameTable(memory, this.tlb, m2p);
    if (this.devices !== undefined) this.frames.assignIo(DeviceBus.queueMfn, DeviceBus.queueFrames);
    this.mm = new MemoryManagement(memory, this.frames, this.tlb, this.x86);
    this.access = new GuestAccess(memory, this.walker, this.tlb);
    this.grants = new Grants(memory, this.tlb, this.mm, (id) => this.domains.get(id as DomId));
    this.events = new Events(this);
    this.bvt = new Bvt();
    this.sched = new SchedCore(this, this.bvt);
    this.traps = new Traps(this);
    this.dispatcher = new Dispatcher(this);
    this.vcpuHooks = vcpuHooks(this);
    this.log.onAppend = () => this.events.sendGlobalVirq(VIRQ_CON_RING);
  }

  /** What processors ask of the machine around them. */
  processorHost(): ProcessorHost {
    const { profile } = this;
    return {
      ...(profile && { timed: profile.timed.bind(profile) }),
      tsc: (retired) => this.tsc(retired),
      log: (line) => this.log.guestLine(this.current === undefined ? line : `d${this.current.domain.id} ${line}`),
    };
  }

  /** The time stamp counter: system time in ns, `retired` instructions into the present run. */
  tsc(retired: number): { lo: number; hi: number } {
    const now = this.time.now() + (this.#virtual ? retired : 0);
    return { lo: now >>> 0, hi: Math.floor(now / 4294967296) >>> 0 };
  }

  /** The domain with this id, if it is not dying. No DOMID_SELF here. */
  find(id: number): Domain | undefined {
    const domain = this.domains.get(id as DomId);
    return domain !== undefined && domain.dying === Dying.Alive ? domain : undefined;
  }

  /** A domain id that nobody has: the next after the last one given, as Xen hands them out. */
  nextDomid(): DomId {
    do this.#lastDomid = this.#lastDomid + 1 < MAX_DOMID ? this.#lastDomid + 1 : 1;
    while (this.domains.has(this.#lastDomid as DomId));
    return this.#lastDomid as DomId;
  }

  /** As find, for a domain id out of a guest's argument: DOMID_SELF is the current one; another needs privilege. */
  resolve(id: number): Domain | undefined {
    const self = this.current.domain;
    if (id === DOMID_SELF || id === self.id) return self;
    return self.privileged ? this.find(id) : undefined;
  }

  /** Charges the running vcpu for work done for it: advances the virtual clock, shortens the slice. */
  charge(ns: number): void {
    if (this.#virtual) this.time.clock.advance(ns);
    this.#remaining -= ns;
  }

  /** Is something more urgent than the running vcpu's long hypercall? Then it returns CONTINUE. */
  preemptCheck(): boolean {
    this.#askClock();
    return this.sched.reschedule || this.#remaining <= 0 || this.events.needsDelivery(this.current);
  }

  /** On the real clock charges are estimates, by which a guest could choose what it calls: now and then time itself counts. */
  #askClock(): void {
    if (this.#virtual || (++this.#asked & (CLOCK_EVERY - 1)) !== 0) return;
    this.#remaining = Math.min(this.#remaining, this.#end - this.time.now());
  }

  /** domain_crash: logs why and shuts the domain down with SHUTDOWN_crash. The caller then returns. */
  crash(domain: Domain, reason: string): void {
    if (domain.isShutDown || domain.dying !== Dying.Alive) return;
    reportState(this, domain, reason);
    shutdownDomain(this, domain, SHUTDOWN_crash);
  }

  /**
   * Carries out the hypercall that the vcpu's registers describe, continuations included, and sets RAX: for the
   * TypeScript processor, whose kernels call.
   */
  hypercall(vcpu: Vcpu): void {
    const { profile } = this;
    if (profile !== undefined) profile.enter(profile.of("hypercalls of TypeScript kernels"));
    while (this.dispatcher.call(vcpu) === CONTINUE);
    if (profile !== undefined) profile.leave();
  }

  /** Has the vcpu's domain been shut down or crashed since the hypercall began? Then its memory isn't touched further. */
  domainGone(vcpu: Vcpu): boolean {
    return vcpu.domain.isShutDown || vcpu.domain.dying !== Dying.Alive;
  }

  /** May the domain reach this I/O port? */
  #portPermitted(domain: Domain, port: number, bytes: number): boolean {
    return domain.ioPorts.some(([first, last]) => port >= first && port + bytes - 1 <= last);
  }

  /** `out` of `bytes` (1, 2, 4); what is nobody's or not permitted vanishes. */
  portWrite(domain: Domain, port: number, bytes: number, value: number): void {
    if (this.#portPermitted(domain, port, bytes) && port === DOORBELL_PORT && bytes === 4) this.#ring(value);
  }

  #ring(queue: number): void {
    this.devices?.ring(queue);
    if (this.#virtual && !this.#answers.active)
      this.time.timers.set(this.#answers, this.time.now() + VIRTUAL_DEVICE_NS);
  }

  /** `in` of `bytes`: no port can be read, so all ones. */
  portRead(_domain: Domain, _port: number, bytes: number): number {
    return bytes === 4 ? 0xffffffff : bytes === 2 ? 0xffff : 0xff;
  }

  /** `out` of a TypeScript kernel, which has no IOPL: false, not permitted. */
  portOut(vcpu: Vcpu, port: number, value: number): boolean {
    if (!this.#portPermitted(vcpu.domain, port, 4)) return false;
    this.portWrite(vcpu.domain, port, 4, value);
    return true;
  }

  /**
   * One turn of the main loop. 0: call again at once. Otherwise nanoseconds until the next timer is due (Infinity: none):
   * nothing is runnable, sleep until then or until the doorbell.
   */
  step(): number {
    if (this.devices !== undefined) this.#takeInterrupts(this.devices);
    this.time.timers.run(this.time.now());
    if (this.sched.due) this.#schedule();
    this.tlb.dropDeviceCode();
    const vcpu = this.sched.running;
    if (vcpu === undefined) return Math.max(0, this.time.timers.next - this.time.now());
    this.#run(vcpu);
    return 0;
  }

  #takeAnswers(): void {
    this.devices?.settle();
    if (this.devices !== undefined) this.#takeInterrupts(this.devices);
  }

  #takeInterrupts(devices: DeviceBus): void {
    devices.beat();
    if (this.#answers.active) return;
    let lines = devices.takeLines();
    for (let irq = 0; lines !== 0; irq++, lines >>>= 1) if (lines & 1) this.events.sendPirq(irq);
  }

  #schedule(): void {
    const last = this.sched.running;
    if (!this.sched.schedule()) return;
    if (last !== undefined) leaveVcpu(this, last);
    const next = this.sched.running;
    if (next === undefined) return;
    this.current = next;
    enterVcpu(this, next);
    if (this.trace.sched) this.trace.emitter.emit("schedule", next, this.sched.sliceEnd - this.time.now());
  }

  /** Runs the vcpu until its slice is over, a timer is due, somebody goes first, or interrupts want a look. */
  #run(vcpu: Vcpu): void {
    const { clock, timers } = this.time;
    const virtual = this.#virtual;
    const { processor } = vcpu.domain;
    const { profile, sched, trace } = this;
    const { u8 } = this.memory;
    const x86 = processor === this.x86;
    const rate = virtual || !x86 ? 1 : this.#rate;
    const nsEach = 1 / rate;
    const start = this.time.now();
    const most = virtual ? VIRTUAL_SLICE_NS : REAL_SLICE_NS;
    const end = Math.min(sched.sliceEnd, timers.next, start + most);
    this.#end = end;
    this.#remaining = end - start;
    this.current = vcpu;
    let undisturbed = true;
    while (this.#remaining > 0 && !sched.reschedule) {
      if (u8[vcpu.vcpuInfo] !== 0 || vcpu.nmiPending) {
        this.traps.deliverPending(vcpu);
        if (sched.reschedule) return;
      }
      let budget = (this.#remaining * rate) | 0; // At most VIRTUAL_SLICE_NS, or ten times REAL_SLICE_NS.
      if (!virtual && budget < MIN_REAL_BUDGET) budget = MIN_REAL_BUDGET;
      if (trace.insn > 0) {
        trace.insn--;
        trace.emitter.emit("instruction", vcpu);
        budget = 1;
      }
      if (profile !== undefined) profile.enterRun(vcpu.domain, x86);
      const exit = processor.run(vcpu.cpu, budget);
      const { retired } = processor;
      if (profile !== undefined) profile.enterExit(vcpu, exit, retired, x86);
      this.charge(retired * nsEach);
      this.#handle(vcpu, exit);
      if (profile !== undefined) profile.leave();
      if (virtual) this.#remaining = Math.min(this.#remaining, timers.next - clock.now());
      else if (exit === Exit.Interrupted) this.#remaining = Math.min(this.#remaining, end - this.time.now());
      else if (exit === Exit.Budget && undisturbed && x86) this.#measure(start, retired);
      else this.#askClock();
      undisturbed = false;
    }
  }

  /** How fast the processor is: a moving average over runs that nothing interrupted. */
  #measure(start: number, retired: number): void {
    const elapsed = this.time.now() - start;
    if (elapsed > 0) this.#rate += (Math.min(Math.max(retired / elapsed, 0.001), 10) - this.#rate) * 0.1;
  }

  #syscall(vcpu: Vcpu): void {
    const result = this.dispatcher.call(vcpu);
    if (result === CONTINUE) moveRip(vcpu.cpu, -SYSCALL_BYTES);
    // As after `sysret`: at the instruction behind. What iret returns to is executed first.
    else if (result !== NO_RESULT) this.traps.singleStep(vcpu);
  }

  #handle(vcpu: Vcpu, exit: Exit): void {
    switch (exit) {
      case Exit.Syscall:
        if (!vcpu.kernelMode) this.traps.userSyscall(vcpu);
        else this.#syscall(vcpu);
        return;
      case Exit.Budget:
      case Exit.Interrupted:
        return;
      case Exit.Exception:
        this.traps.exception(vcpu);
        return;
      case Exit.SoftInterrupt:
        this.traps.softInterrupt(vcpu);
        return;
      case Exit.Privileged:
        this.traps.privileged(vcpu);
        return;
    }
  }
}
