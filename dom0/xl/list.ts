// xl list, vcpu-list, vm-list, uptime, domid, domname: what there is, in the columns that scripts know from the real xl. Called by
// the shell, as all commands. Left out: cpupools, of which there is one, and NUMA nodes.

import { formatUuid } from "../toolstack/uuid.ts";
import type { DomainInfo } from "../toolstack/xc.ts";
import { type Command, CommandError, type XlContext } from "./context.ts";
import { findDomain, infosOf, listRow, nameOf } from "./domains.ts";
import { expectWords, parseArguments } from "./options.ts";
import { listTable, uptimeTable, uptimeText, type VcpuRow, vcpuTable, yajl } from "./tables.ts";

export const list: Command = {
  name: "list",
  usage: "[options] [Domain]",
  summary: "List information about all/some domains",
  options: ["-l, --long              Output all VM details", "-v, --verbose           Prints out UUIDs"],
  completes: "domain",
  *run(context, args) {
    const { words, has } = parseArguments("xl list", args, {
      long: { letter: "l", long: "long" },
      verbose: { letter: "v", long: "verbose" },
    });
    const infos = infosOf(context, words);
    if (has("long")) yield* context.io.write(`${yajl(infos.map((info) => details(context, info)))}\n\n`);
    else
      yield* context.io.write(
        listTable(
          infos.map((info) => listRow(context, info)),
          has("verbose"),
        ),
      );
    return 0;
  },
};

/** A domain as xl list -l shows it, as far as a PV domain here has such a thing. */
function details(context: XlContext, info: DomainInfo): unknown {
  const managed = context.toolstack.managed(info.domid);
  const config = managed?.config;
  const targetKiB = Number(context.xs.read(`/local/domain/${info.domid}/memory/target`) ?? info.totPages * 4);
  const maxKiB = Number(context.xs.read(`/local/domain/${info.domid}/memory/static-max`) ?? targetKiB);
  return {
    domid: info.domid,
    config: {
      c_info: {
        type: "pv",
        name: nameOf(context, info.domid),
        ...(managed && { uuid: managed.uuid, run_hotplug_scripts: "True" }),
      },
      b_info: {
        ...(config && {
          max_vcpus: config.maxVcpus,
          avail_vcpus: Array.from({ length: config.vcpus }, (_, i) => i),
        }),
        max_memkb: maxKiB,
        target_memkb: targetKiB,
        ...(config && { video_memkb: 0 }),
        sched_params: { sched: "bvt" },
        ...(config && {
          claim_mode: "True",
          kernel: config.kernel,
          cmdline: config.cmdline,
          ...(config.ramdisk !== undefined && { ramdisk: config.ramdisk }),
        }),
        "type.pv": {},
        arch_arm: {},
        arch_x86: {},
      },
      ...(config && {
        on_poweroff: config.onPoweroff.replace("-", "_"),
        on_reboot: config.onReboot.replace("-", "_"),
        on_watchdog: config.onWatchdog.replace("-", "_"),
        on_crash: config.onCrash.replace("-", "_"),
        on_soft_reset: config.onSoftReset.replace("-", "_"),
      }),
    },
  };
}

export const vcpuList: Command = {
  name: "vcpu-list",
  usage: "[Domain, ...]",
  summary: "List the VCPUs for all/some domains",
  completes: "domain",
  *run(context, args) {
    const { words } = parseArguments("xl vcpu-list", args, {});
    const rows = infosOf(context, words).flatMap((info): VcpuRow[] =>
      Array.from({ length: info.maxVcpuId + 1 }, (_, vcpu) => {
        const state = context.toolstack.xc.vcpuState(info.domid, vcpu);
        return {
          name: nameOf(context, info.domid),
          domid: info.domid,
          vcpu,
          online: state.online,
          cpu: state.cpu,
          running: state.running,
          blocked: state.blocked,
          seconds: state.cpuTimeNs / 1e9,
        };
      }),
    );
    yield* context.io.write(vcpuTable(rows));
    return 0;
  },
};

export const vmList: Command = {
  name: "vm-list",
  usage: "",
  summary: "List guest domains, excluding dom0, stubdoms, etc.",
  *run(context, args) {
    expectWords("xl vm-list", "", parseArguments("xl vm-list", args, {}).words, 0);
    const guests = context.toolstack.xc.domains().filter((info) => info.domid !== 0);
    const lines = guests.map(
      (info) => `${formatUuid(info.handle)}  ${info.domid}    ${nameOf(context, info.domid).padEnd(30)}\n`,
    );
    yield* context.io.write(`UUID                                  ID    name\n${lines.join("")}`);
    return 0;
  },
};

export const uptime: Command = {
  name: "uptime",
  usage: "[-s] [Domain]",
  summary: "Print uptime for all/some domains",
  completes: "domain",
  *run(context, args) {
    const { words, has } = parseArguments("xl uptime", args, { short: { letter: "s", long: "short" } });
    const { clock } = context.kernel;
    const nowMs = clock.wallclockMs();
    const rows = infosOf(context, words).map((info) => {
      const started = context.toolstack.managed(info.domid)?.startedMs;
      const seconds = started === undefined ? clock.systemTimeNs() / 1e9 : (nowMs - started) / 1000;
      return { name: nameOf(context, info.domid), domid: info.domid, seconds };
    });
    const time = new Date(nowMs).toISOString().slice(11, 19);
    const short = rows.map((r) => {
      const upTo = uptimeText(r.seconds).slice(0, -3); // Without the seconds.
      return ` ${time} up ${upTo}, ${r.name} (${r.domid})\n`;
    });
    yield* context.io.write(has("short") ? short.join("") : uptimeTable(rows));
    return 0;
  },
};

export const domid: Command = {
  name: "domid",
  usage: "<DomainName>",
  summary: "Convert a domain name to domain id",
  completes: "domain",
  *run(context, args) {
    const [name] = expectWords("xl domid", domid.usage, parseArguments("xl domid", args, {}).words, 1);
    const found = context.toolstack.xc.domains().find((info) => context.toolstack.nameOf(info.domid) === name);
    if (found === undefined)
      throw new CommandError(`Can't get domid of domain name '${name}', maybe this domain does not exist.`);
    yield* context.io.write(`${found.domid}\n`);
    return 0;
  },
};

export const domname: Command = {
  name: "domname",
  usage: "<DomainId>",
  summary: "Convert a domain id to domain name",
  *run(context, args) {
    const [id] = expectWords("xl domname", domname.usage, parseArguments("xl domname", args, {}).words, 1);
    if (!/^\d+$/.test(id)) throw new CommandError("Invalid domain id.");
    const name = context.toolstack.nameOf(Number(id));
    if (name === undefined)
      throw new CommandError(`Can't get domain name of domain id '${id}', maybe this domain does not exist.`);
    yield* context.io.write(`${name}\n`);
    return 0;
  },
};

export const rename: Command = {
  name: "rename",
  usage: "<Domain> <NewDomainName>",
  summary: "Rename a domain",
  completes: "domain",
  *run(context, args) {
    const { words } = parseArguments("xl rename", args, {});
    const [name, newName] = expectWords("xl rename", rename.usage, words, 2);
    if (!/^[A-Za-z0-9_.:@+-]{1,40}$/.test(newName) || /^\d+$/.test(newName))
      throw new CommandError(`xl rename: "${newName}" can't be a domain's name`);
    context.toolstack.rename(findDomain(context, name), newName);
    yield* [];
    return 0;
  },
};
