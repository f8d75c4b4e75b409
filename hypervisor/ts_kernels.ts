// Kernels in TypeScript as domains: what their processor asks of the hypervisor (dom0's too, dom0_build.ts), and the domctl
// XEN_DOMCTL_script (shared/script_image.ts), which has a domain run by that processor. Called by domctl.ts. A kernel in
// TypeScript is code of the host with its user's rights: a machine that was given no `compileKernel` runs none but dom0.

import { XEN_EINVAL, XEN_EOPNOTSUPP } from "../shared/abi/errno.ts";
import type { Domain } from "./domain.ts";
import type { Hypervisor } from "./hypervisor.ts";
import type { TsHost } from "./machine/ts/processor.ts";
import { ScriptProcessor } from "./machine/ts/script.ts";

/** Lines of a kernel's own account of its end that go into the log. */
const STACK_LINES = 12;

/** What the TypeScript processor asks of the hypervisor; what runs is always the current vcpu. */
export function kernelHost(hv: Hypervisor): TsHost {
  return {
    hypercall: () => {
      hv.hypercall(hv.current);
    },
    portOut: (_cpu, port, value) => hv.portOut(hv.current, port, value),
    crash: (_cpu, reason) => {
      const { domain } = hv.current;
      if (hv.domainGone(hv.current)) return;
      const lines = reason.split("\n", STACK_LINES);
      for (const line of lines) hv.log.line(domain.privileged ? line : `d${domain.id} ${line}`);
      hv.crash(domain, lines[0]);
    },
    tsc: (retired) => hv.tsc(retired),
    log: (line) => hv.log.line(line),
    nowNs: hv.time.clock.virtual ? undefined : () => hv.time.clock.now(),
  };
}

/** XEN_DOMCTL_script: 0 or a negative errno. The domain must not have run yet. */
export function setScript(hv: Hypervisor, domain: Domain): number {
  if (hv.compileKernel === undefined) return -XEN_EOPNOTSUPP;
  if (domain === hv.current.domain || domain.maxVcpus !== 1) return -XEN_EINVAL;
  if (domain.vcpus.some((vcpu) => vcpu.initialised)) return -XEN_EINVAL;
  domain.processor = new ScriptProcessor(hv.memory, hv.walker, hv.tlb, kernelHost(hv), hv.compileKernel);
  return 0;
}
