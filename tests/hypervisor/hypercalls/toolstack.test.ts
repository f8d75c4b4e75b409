// What a toolstack's calls (domctl, sysctl) refuse, and that what they refuse has changed nothing; what they give away or count
// beyond what dispatch.test.ts creates and destroys.
import { beforeEach, describe, expect, test } from "vitest";
import type { Hypervisor } from "../../../hypervisor/hypervisor.ts";
import { shutdownDomain } from "../../../hypervisor/lifecycle.ts";
import * as D from "../../../shared/abi/domctl.ts";
import {
  XEN_EACCES,
  XEN_EFAULT,
  XEN_EINVAL,
  XEN_ENODATA,
  XEN_ENOMEM,
  XEN_ENOSYS,
  XEN_EPERM,
  XEN_ESRCH,
} from "../../../shared/abi/errno.ts";
import { SHUTDOWN_suspend } from "../../../shared/abi/sched.ts";
import * as S from "../../../shared/abi/sysctl.ts";
import { __HYPERVISOR_domctl, __HYPERVISOR_sysctl, SharedInfo } from "../../../shared/abi/xen.ts";
import type { DomId, Port, Va } from "../../../shared/brand.ts";
import { BareDomain, FLAT } from "../../harness/bare.ts";
import { bareMachine } from "../../harness/domu.ts";

const NOWHERE = 0x1000;
/** Where in dom0's data the second argument of a call lies. */
const AT = 0x2000;
let hv: Hypervisor;
let dom0: BareDomain;
let a: BareDomain;

beforeEach(() => {
  hv = bareMachine({ memoryMiB: 32 }).hv;
  dom0 = new BareDomain(hv, 0, { privileged: true });
  a = new BareDomain(hv, 1, { vcpus: 2 });
});

type DomctlOp = ReturnType<typeof D.XenDomctl.at>;
type SysctlOp = ReturnType<typeof S.XenSysctl.at>;

function domctl(cmd: number, domain: number, fill: (op: DomctlOp) => void = () => {}) {
  dom0.bytes.fill(0, 0, D.XenDomctl.size);
  const op = D.XenDomctl.at(dom0.view);
  op.cmd = cmd;
  op.interface_version = D.XEN_DOMCTL_INTERFACE_VERSION;
  op.domain = domain;
  fill(op);
  return { result: dom0.call(__HYPERVISOR_domctl, FLAT), op };
}

function sysctl(cmd: number, fill: (op: SysctlOp) => void = () => {}) {
  dom0.bytes.fill(0, 0, S.XenSysctl.size);
  const op = S.XenSysctl.at(dom0.view);
  op.cmd = cmd;
  op.interface_version = S.XEN_SYSCTL_INTERFACE_VERSION;
  fill(op);
  return { result: dom0.call(__HYPERVISOR_sysctl, FLAT), op };
}

/** Makes the page of the argument one that can only be read. */
function protect(): void {
  const word = hv.mm.findL1(dom0.vcpu, FLAT as Va);
  expect(hv.mm.setEntry(1, word, dom0.data * 4096 + 5, 0, 0 as DomId)).toBe(0);
}

describe("domctl", () => {
  test("does nothing to its caller that would leave nobody to undo it", () => {
    for (const cmd of [
      D.XEN_DOMCTL_destroydomain,
      D.XEN_DOMCTL_pausedomain,
      D.XEN_DOMCTL_resumedomain,
      D.XEN_DOMCTL_getvcpucontext,
      D.XEN_DOMCTL_setvcpucontext,
    ])
      expect([cmd, domctl(cmd, 0, (op) => (op.vcpucontext.ctxt_num = FLAT + AT)).result]).toEqual([cmd, -XEN_EINVAL]);
    expect([dom0.domain.dying, dom0.domain.controllerPauseCount]).toEqual([0, 1]);
  });

  test("is refused where the argument can't be read or answered", () => {
    expect(dom0.call(__HYPERVISOR_domctl, NOWHERE)).toBe(-XEN_EFAULT);
    const info = () => domctl(D.XEN_DOMCTL_getdomaininfo, 1).result;
    expect(info()).toBe(0);
    protect();
    expect(info()).toBe(-XEN_EFAULT);
  });

  test("createdomain keeps to the limits", () => {
    const create = (fill: (config: DomctlOp["createdomain"]) => void, id = 0) =>
      domctl(D.XEN_DOMCTL_createdomain, id, (op) => {
        op.createdomain.max_vcpus = 1;
        fill(op.createdomain);
      });
    const before = hv.frames.freeFrames;
    const refused: ((config: DomctlOp["createdomain"]) => void)[] = [
      (c) => (c.flags = D.XEN_DOMCTL_CDF_hvm),
      (c) => (c.flags = 1 << 20),
      (c) => (c.max_vcpus = 0),
      (c) => (c.max_vcpus = 33),
      (c) => (c.max_grant_frames = 65),
      (c) => (c.max_maptrack_frames = 1025),
    ];
    for (const fill of refused) expect([fill.toString(), create(fill).result]).toEqual([fill.toString(), -XEN_EINVAL]);
    expect([hv.domains.size, hv.frames.freeFrames]).toEqual([2, before]);
    const most = create((c) => {
      c.flags = D.XEN_DOMCTL_CDF_xs_domain;
      c.max_vcpus = 32;
      c.max_grant_frames = 64;
      c.max_maptrack_frames = 1024;
      c.ssidref = 77;
    }, 0x7fef);
    expect([most.result, most.op.domain]).toEqual([0, 0x7fef]);
    expect(domctl(D.XEN_DOMCTL_getdomaininfo, 0x7fef).op.getdomaininfo.flags & D.XEN_DOMINF_xs_domain).not.toBe(0);
    const reserved = create(() => {}, 0x7ff0);
    expect([reserved.result, reserved.op.domain]).toEqual([0, 2]);
    for (let id = 3; hv.domains.size < 1024; id++) hv.domains.set(id as DomId, a.domain);
    expect(create(() => {}).result).toBe(-XEN_ENOMEM);
  });

  test("getdomaininfo gives the first domain from the number on, as it stands", () => {
    new BareDomain(hv, 9);
    const { result, op } = domctl(D.XEN_DOMCTL_getdomaininfo, 2);
    expect([result, op.domain, op.getdomaininfo.domain]).toEqual([0, 9, 9]);
    expect(domctl(D.XEN_DOMCTL_getdomaininfo, 10).result).toBe(-XEN_ESRCH);
    const flags = () => domctl(D.XEN_DOMCTL_getdomaininfo, 1).op.getdomaininfo.flags;
    const is = (flag: number) => (flags() & flag) !== 0;
    const [one, two] = a.domain.vcpus;
    expect([is(D.XEN_DOMINF_paused), is(D.XEN_DOMINF_dying), is(D.XEN_DOMINF_shutdown)]).toEqual([true, false, false]);
    expect([is(D.XEN_DOMINF_running), is(D.XEN_DOMINF_xs_domain)]).toEqual([false, false]);
    one.down = two.down = false;
    expect(is(D.XEN_DOMINF_blocked)).toBe(false);
    one.blocked = true;
    expect(is(D.XEN_DOMINF_blocked)).toBe(false);
    two.polling = [1 as Port];
    expect(is(D.XEN_DOMINF_blocked)).toBe(true);
    expect(domctl(D.XEN_DOMCTL_getdomaininfo, 1).op.getdomaininfo.nr_online_vcpus).toBe(2);
    two.down = true;
    expect(domctl(D.XEN_DOMCTL_getdomaininfo, 1).op.getdomaininfo.nr_online_vcpus).toBe(1);
    expect(domctl(D.XEN_DOMCTL_unpausedomain, 1).result).toBe(0);
    shutdownDomain(hv, a.domain, 3);
    expect([is(D.XEN_DOMINF_paused), is(D.XEN_DOMINF_shutdown)]).toEqual([false, true]);
    expect((flags() >>> D.XEN_DOMINF_shutdownshift) & 0xff).toBe(3);
    expect(domctl(D.XEN_DOMCTL_resumedomain, 1).result).toBe(0);
    expect(is(D.XEN_DOMINF_shutdown)).toBe(false);
  });

  test("getvcpuinfo knows vcpus that are, may be and can't be", () => {
    const info = (vcpu: number) => domctl(D.XEN_DOMCTL_getvcpuinfo, 1, (op) => (op.getvcpuinfo.vcpu = vcpu));
    a.domain.vcpus.pop();
    expect([info(0), info(1), info(2)].map(({ result }) => result)).toEqual([0, -XEN_ESRCH, -XEN_EINVAL]);
    const state = () => {
      const { online, blocked, running } = info(0).op.getvcpuinfo;
      return [online, blocked, running];
    };
    expect(state()).toEqual([0, 0, 0]);
    a.vcpu.down = false;
    expect(state()).toEqual([1, 0, 0]);
    a.vcpu.blocked = true;
    expect(state()).toEqual([1, 1, 0]);
    a.vcpu.blocked = false;
    a.vcpu.polling = [1 as Port];
    expect(state()).toEqual([1, 1, 0]);
  });

  test("contexts: of a vcpu that has one, at an address that is there; without an address it is taken away", () => {
    const context = (cmd: number, vcpu: number, va: number) =>
      domctl(cmd, 1, (op) => {
        op.vcpucontext.vcpu = vcpu;
        op.vcpucontext.ctxt_num = va;
      }).result;
    const [get, set] = [D.XEN_DOMCTL_getvcpucontext, D.XEN_DOMCTL_setvcpucontext];
    expect([context(get, 2, FLAT + AT), context(set, 2, FLAT + AT)]).toEqual([-XEN_ESRCH, -XEN_EINVAL]);
    expect([context(get, 1, NOWHERE), context(set, 1, NOWHERE)]).toEqual([-XEN_EFAULT, -XEN_EFAULT]);
    const second = a.domain.vcpus[1];
    second.down = false;
    expect(context(set, 1, 0)).toBe(0);
    expect([second.initialised, second.down, second.guestTable]).toEqual([false, true, 0]);
    expect(context(get, 1, FLAT + AT)).toBe(-XEN_ENODATA);
  });

  test("settimeoffset refuses more than 2^40 seconds, before anything has changed", () => {
    const set = (seconds: number) =>
      domctl(D.XEN_DOMCTL_settimeoffset, 1, (op) => (op.settimeoffset.time_offset_seconds_num = seconds)).result;
    const wallclock = () => hv.memory.view.getUint32(a.domain.sharedInfo * 4096 + SharedInfo.offsets.wc_sec, true);
    const before = wallclock();
    for (const seconds of [2 ** 40 + 1, -(2 ** 40) - 1]) expect(set(seconds)).toBe(-XEN_EINVAL);
    expect([a.domain.timeOffsetSeconds, wallclock()]).toEqual([0, before]);
    expect(set(2 ** 40)).toBe(0);
    expect(set(3600)).toBe(0);
    expect(wallclock()).toBe(before + 3600);
  });

  test("ports are given and taken by range, whatever was given before", () => {
    const ports = (first: number, count: number, allow: number) =>
      domctl(D.XEN_DOMCTL_ioport_permission, 1, (op) => {
        op.ioport_permission.first_port = first;
        op.ioport_permission.nr_ports = count;
        op.ioport_permission.allow_access = allow;
      }).result;
    const allowed = () => [...a.domain.ioPorts].sort(([x], [y]) => x - y);
    expect([ports(0xffff, 2, 1), ports(0xffffffff, 1, 1), ports(5, 0, 1)]).toEqual([-XEN_EINVAL, -XEN_EINVAL, 0]);
    expect(allowed()).toEqual([]);
    expect(ports(0xfff0, 16, 1)).toBe(0);
    expect(ports(0x60, 8, 1)).toBe(0);
    expect(ports(0x63, 2, 0)).toBe(0);
    expect(allowed()).toEqual([
      [0x60, 0x62],
      [0x65, 0x67],
      [0xfff0, 0xffff],
    ]);
    expect(ports(0x62, 4, 1)).toBe(0);
    expect(allowed().filter(([from]) => from < 0xfff0)).toEqual([
      [0x60, 0x61],
      [0x62, 0x65],
      [0x66, 0x67],
    ]);
    expect(ports(0x60, 8, 0)).toBe(0);
    expect(allowed()).toEqual([[0xfff0, 0xffff]]);
  });

  test("an NMI is the only trigger, for a vcpu that is there", () => {
    const trigger = (what: number, vcpu: number) =>
      domctl(D.XEN_DOMCTL_sendtrigger, 1, (op) => {
        op.sendtrigger.trigger = what;
        op.sendtrigger.vcpu = vcpu;
      }).result;
    const NMI = D.XEN_DOMCTL_SENDTRIGGER_NMI;
    expect([trigger(NMI + 1, 0), trigger(NMI, 2)]).toEqual([-XEN_ENOSYS, -XEN_ESRCH]);
    expect(a.domain.vcpus.map((vcpu) => vcpu.nmiPending)).toEqual([false, false]);
    expect(trigger(NMI, 1)).toBe(0);
    expect(a.domain.vcpus.map((vcpu) => vcpu.nmiPending)).toEqual([false, true]);
  });

  test("who is at the other end of a port hears of a suspension; the port may be any number", () => {
    const suspend = (port: number): void => {
      expect(domctl(D.XEN_DOMCTL_subscribe, 1, (op) => (op.subscribe.port = port)).result).toBe(0);
      shutdownDomain(hv, a.domain, SHUTDOWN_suspend);
      expect(domctl(D.XEN_DOMCTL_resumedomain, 1).result).toBe(0);
    };
    for (const port of [4000, 4096, 0xffffffff]) suspend(port);
    hv.current = a.vcpu;
    const remote = dom0.domain.events.allocUnbound(1);
    const port = a.domain.events.bindInterdomain(dom0.domain, remote);
    expect(port).toBeGreaterThan(0);
    hv.events.clearPending(dom0.domain, remote as Port);
    hv.events.clearPending(a.domain, port as Port);
    suspend(port);
    expect([hv.events.isPending(dom0.domain, remote), hv.events.isPending(a.domain, port)]).toEqual([true, false]);
  });

  test("only 64 bits, only the TSC that there is, nothing of the machine's, and nothing unknown", () => {
    const size = (bits: number) =>
      domctl(D.XEN_DOMCTL_set_address_size, 1, (op) => (op.address_size.size = bits)).result;
    expect([size(64), size(32), domctl(D.XEN_DOMCTL_get_address_size, 1).op.address_size.size]).toEqual([
      0,
      -XEN_EINVAL,
      64,
    ]);
    const tsc = (mode: number) => domctl(D.XEN_DOMCTL_settscinfo, 1, (op) => (op.tsc_info.tsc_mode = mode)).result;
    expect([tsc(0), tsc(1)]).toEqual([0, -XEN_EINVAL]);
    const page = (mfn: number) =>
      domctl(D.XEN_DOMCTL_hypercall_init, 1, (op) => (op.hypercall_init.gmfn_num = mfn)).result;
    expect([page(dom0.data), page(2 ** 40), page(a.data + 5)]).toEqual([-XEN_EACCES, -XEN_EACCES, 0]);
    for (const [cmd, errno] of [
      [D.XEN_DOMCTL_irq_permission, XEN_EPERM],
      [D.XEN_DOMCTL_iomem_permission, XEN_EPERM],
      [D.XEN_DOMCTL_setvcpuaffinity, XEN_ENOSYS],
      [9999, XEN_ENOSYS],
    ])
      expect([cmd, domctl(cmd, 1).result]).toEqual([cmd, -errno]);
  });

  test("max_vcpus ends where memory does, max_mem where the machine's does", () => {
    expect(domctl(D.XEN_DOMCTL_max_mem, 1, (op) => (op.max_mem.max_memkb_num = 2 ** 50)).result).toBe(0);
    expect(a.domain.memory.maxPages).toBe(hv.frames.totalFrames);
    a.domain.vcpus.pop();
    while (a.domain.memory.alloc() !== -1);
    expect(domctl(D.XEN_DOMCTL_max_vcpus, 1, (op) => (op.max_vcpus.max = 2)).result).toBe(-XEN_ENOMEM);
    expect(a.domain.vcpus).toHaveLength(1);
  });

  test("scheduling parameters within their ranges, or none of them", () => {
    const put = (fill: (bvt: DomctlOp["scheduler_op"]["bvt"]) => void, id = D.XEN_SCHEDULER_BVT, cmd = 0) =>
      domctl(D.XEN_DOMCTL_scheduler_op, 1, ({ scheduler_op: op }) => {
        op.sched_id = id;
        op.cmd = cmd;
        op.bvt.mcu_adv = 10;
        fill(op.bvt);
      }).result;
    const before = { ...hv.bvt.params(a.domain) };
    const DAYS = 864_000_000;
    expect(D.XEN_DOMCTL_SCHEDOP_putinfo).toBe(0);
    for (const result of [
      put((b) => (b.mcu_adv = 0)),
      put((b) => (b.warpback = 2)),
      put((b) => (b.warpvalue = -1)),
      put((b) => (b.warpl_num = -1)),
      put((b) => (b.warpl_num = DAYS + 1)),
      put((b) => (b.warpu_num = -1)),
      put((b) => (b.warpu_num = DAYS + 1)),
      put(() => {}, D.XEN_SCHEDULER_BVT + 1),
      put(() => {}, D.XEN_SCHEDULER_BVT, 7),
    ])
      expect(result).toBe(-XEN_EINVAL);
    expect(hv.bvt.params(a.domain)).toEqual(before);
    expect(
      put((b) => {
        b.mcu_adv = 1;
        b.warpback = 1;
        b.warpvalue = 0;
        b.warpl_num = b.warpu_num = DAYS;
      }),
    ).toBe(0);
    expect(hv.bvt.params(a.domain)).toMatchObject({ mcuAdvance: 1, warpback: true, warplNs: DAYS * 1e6 });
  });
});

describe("sysctl", () => {
  test("is for its own version, and refused where the argument can't be read or answered", () => {
    const wrong = sysctl(S.XEN_SYSCTL_availheap, (op) => (op.interface_version = S.XEN_SYSCTL_INTERFACE_VERSION - 1));
    expect(wrong.result).toBe(-XEN_EACCES);
    expect(dom0.call(__HYPERVISOR_sysctl, NOWHERE)).toBe(-XEN_EFAULT);
    expect(sysctl(S.XEN_SYSCTL_availheap).result).toBe(0);
    expect(sysctl(9999).result).toBe(-XEN_ENOSYS);
    protect();
    expect(sysctl(S.XEN_SYSCTL_availheap).result).toBe(-XEN_EFAULT);
  });

  test("the log is read to where its reader has room, and on from there", () => {
    hv.log.clear();
    hv.log.line("first");
    hv.log.line("second");
    const all = hv.log.read(hv.log.start, 10_000);
    let index = 0;
    const read = (count: number, incremental: number, buffer = FLAT + AT, clear = 0) => {
      dom0.bytes.fill(0x2e, AT, AT + 100);
      const { result, op } = sysctl(S.XEN_SYSCTL_readconsole, ({ readconsole: arg }) => {
        arg.count = count;
        arg.incremental = incremental;
        arg.index = index;
        arg.clear = clear;
        arg.buffer_num = buffer;
      });
      index = op.readconsole.index;
      return [result, String.fromCharCode(...dom0.bytes.subarray(AT, AT + op.readconsole.count))];
    };
    expect(read(4, 0)).toEqual([0, all.slice(0, 4)]);
    expect(String.fromCharCode(dom0.bytes[AT + 4])).toBe(".");
    expect(read(3, 1)).toEqual([0, all.slice(4, 7)]);
    expect(read(1000, 1)).toEqual([0, all.slice(7)]);
    expect(read(1000, 1)).toEqual([0, ""]);
    expect(read(10, 0, NOWHERE)[0]).toBe(-XEN_EFAULT);
    expect(read(1000, 0, FLAT + AT, 1)).toEqual([0, all]);
    expect(read(1000, 0)).toEqual([0, ""]);
  });

  test("as many debug keys as a line has characters", () => {
    const press = (count: number) =>
      sysctl(S.XEN_SYSCTL_debug_keys, ({ debug_keys: arg }) => {
        arg.keys_num = FLAT + AT;
        arg.nr_keys = count;
      }).result;
    expect([press(512), press(513)]).toEqual([0, -7]);
  });

  test("domains are listed from a number on, as many as there is room for", () => {
    new BareDomain(hv, 5);
    const size = D.XenDomctlGetdomaininfo.size;
    const list = (first: number, max: number, buffer = FLAT + AT) => {
      dom0.bytes.fill(0xee, AT, AT + 4 * size);
      const { result, op } = sysctl(S.XEN_SYSCTL_getdomaininfolist, ({ getdomaininfolist: arg }) => {
        arg.first_domain = first;
        arg.max_domains = max;
        arg.buffer_num = buffer;
      });
      const ids = [0, 1, 2].map((i) => D.XenDomctlGetdomaininfo.at(dom0.view, AT + i * size).domain);
      return [result, op.getdomaininfolist.num_domains, ids];
    };
    const NONE = 0xeeee;
    expect(list(0, 100)).toEqual([0, 3, [0, 1, 5]]);
    expect(list(1, 1)).toEqual([0, 1, [1, NONE, NONE]]);
    expect(list(2, 2)).toEqual([0, 1, [5, NONE, NONE]]);
    expect(list(0, 0)).toEqual([0, 0, [NONE, NONE, NONE]]);
    expect(list(0, 1, NOWHERE)[0]).toBe(-XEN_EFAULT);
  });

  test("one processor and one node are told of, where there is room for them", () => {
    const cpus = (max: number, at: number) =>
      sysctl(S.XEN_SYSCTL_getcpuinfo, ({ getcpuinfo: arg }) => {
        arg.max_cpus = max;
        arg.info_num = at;
      });
    expect([cpus(8, FLAT + AT), cpus(0, NOWHERE)].map(({ result }) => result)).toEqual([0, 0]);
    expect([cpus(8, FLAT + AT).op.getcpuinfo.nr_cpus, cpus(1, NOWHERE).result]).toEqual([1, -XEN_EFAULT]);
    const topology = (room: number, at: number) =>
      sysctl(S.XEN_SYSCTL_cputopoinfo, ({ cputopoinfo: arg }) => {
        arg.num_cpus = room;
        arg.cputopo_num = at;
      });
    expect([topology(4, FLAT + AT), topology(4, 0), topology(0, NOWHERE)].map(({ result }) => result)).toEqual([
      0, 0, 0,
    ]);
    expect([topology(4, 0).op.cputopoinfo.num_cpus, topology(1, NOWHERE).result]).toEqual([1, -XEN_EFAULT]);
    const node = (room: number, memory: number, distance: number) =>
      sysctl(S.XEN_SYSCTL_numainfo, ({ numainfo: arg }) => {
        arg.num_nodes = room;
        arg.meminfo_num = memory;
        arg.distance_num = distance;
      }).result;
    expect([node(0, NOWHERE, NOWHERE), node(1, 0, 0), node(1, FLAT + AT, 0)]).toEqual([0, 0, 0]);
    expect(Number(dom0.view.getBigUint64(AT, true))).toBe(hv.frames.totalFrames * 4096);
    expect([node(1, NOWHERE, 0), node(1, 0, NOWHERE), node(1, 0, FLAT + AT)]).toEqual([-XEN_EFAULT, -XEN_EFAULT, 0]);
    expect(dom0.view.getUint32(AT, true)).toBe(10);
  });

  test("the context-switch allowance has a least value", () => {
    const put = (ns: number, id = D.XEN_SCHEDULER_BVT, pool = 0, cmd = S.XEN_SYSCTL_SCHEDOP_putinfo) =>
      sysctl(S.XEN_SYSCTL_scheduler_op, ({ scheduler_op: op }) => {
        op.sched_id = id;
        op.cpupool_id = pool;
        op.cmd = cmd;
        op.sched_bvt.ctx_allow = ns;
      });
    const before = hv.bvt.ctxAllowNs;
    const bvt = D.XEN_SCHEDULER_BVT;
    const refused = [put(9999), put(20_000, bvt + 1), put(20_000, bvt, 1), put(20_000, bvt, 0, 5)];
    for (const { result } of refused) expect(result).toBe(-XEN_EINVAL);
    const got = put(0, bvt, 0, S.XEN_SYSCTL_SCHEDOP_getinfo);
    expect([got.result, got.op.scheduler_op.sched_bvt.ctx_allow, hv.bvt.ctxAllowNs]).toEqual([0, before, before]);
    expect([put(10_000).result, hv.bvt.ctxAllowNs]).toEqual([0, 10_000]);
  });
});
