// table
// public/event_channel.h: event channel operations and their arguments. The bitmaps are in shared_info (xen.ts).
// Left out: the FIFO ABI's control block (its operations have numbers here and answer -ENOSYS).

import { nested, overlay, struct, u8, u16, u32, u64 } from "./struct.ts";

export const EVTCHNOP_bind_interdomain = 0;
export const EVTCHNOP_bind_virq = 1;
export const EVTCHNOP_bind_pirq = 2;
export const EVTCHNOP_close = 3;
export const EVTCHNOP_send = 4;
export const EVTCHNOP_status = 5;
export const EVTCHNOP_alloc_unbound = 6;
export const EVTCHNOP_bind_ipi = 7;
export const EVTCHNOP_bind_vcpu = 8;
export const EVTCHNOP_unmask = 9;
export const EVTCHNOP_reset = 10;
export const EVTCHNOP_init_control = 11;
export const EVTCHNOP_expand_array = 12;
export const EVTCHNOP_set_priority = 13;

export const EVTCHNSTAT_closed = 0;
export const EVTCHNSTAT_unbound = 1;
export const EVTCHNSTAT_interdomain = 2;
export const EVTCHNSTAT_pirq = 3;
export const EVTCHNSTAT_virq = 4;
export const EVTCHNSTAT_ipi = 5;

export const BIND_PIRQ__WILL_SHARE = 1;

/** A fresh port of `dom` that accepts a binding from `remote_dom`. */
export const EvtchnAllocUnbound = struct("evtchn_alloc_unbound", 8, {
  dom: u16(0),
  remote_dom: u16(2),
  port: u32(4), // [XEN]
});

export const EvtchnBindInterdomain = struct("evtchn_bind_interdomain", 12, {
  remote_dom: u16(0),
  remote_port: u32(4),
  local_port: u32(8), // [XEN]
});

export const EvtchnBindVirq = struct("evtchn_bind_virq", 12, {
  virq: u32(0), // VIRQ_*
  vcpu: u32(4),
  port: u32(8), // [XEN]
});

export const EvtchnBindPirq = struct("evtchn_bind_pirq", 12, {
  pirq: u32(0),
  flags: u32(4), // BIND_PIRQ__*
  port: u32(8), // [XEN]
});

export const EvtchnBindIpi = struct("evtchn_bind_ipi", 8, {
  vcpu: u32(0),
  port: u32(4), // [XEN]
});

export const EvtchnClose = struct("evtchn_close", 4, { port: u32(0) });
export const EvtchnSend = struct("evtchn_send", 4, { port: u32(0) });

export const EvtchnStatus = struct("evtchn_status", 24, {
  dom: u16(0),
  port: u32(4),
  status: u32(8), // [XEN] EVTCHNSTAT_*
  vcpu: u32(12), // [XEN]
  unbound_dom: overlay(u16(16), "u.unbound.dom"), // [XEN]
  interdomain_dom: overlay(u16(16), "u.interdomain.dom"), // [XEN]
  interdomain_port: overlay(u32(20), "u.interdomain.port"), // [XEN]
  pirq: overlay(u32(16), "u.pirq"), // [XEN]
  virq: overlay(u32(16), "u.virq"), // [XEN]
});

export const EvtchnBindVcpu = struct("evtchn_bind_vcpu", 8, { port: u32(0), vcpu: u32(4) });
export const EvtchnUnmask = struct("evtchn_unmask", 4, { port: u32(0) });
export const EvtchnReset = struct("evtchn_reset", 2, { dom: u16(0) });

export const EvtchnInitControl = struct("evtchn_init_control", 24, {
  control_gfn: u64(0),
  offset: u32(8),
  vcpu: u32(12),
  link_bits: u8(16), // [XEN]
});
export const EvtchnExpandArray = struct("evtchn_expand_array", 8, { array_gfn: u64(0) });
export const EvtchnSetPriority = struct("evtchn_set_priority", 8, { port: u32(0), priority: u32(4) });

/** struct evtchn_op: the argument of event_channel_op_compat. The argument of the command `cmd` lies at byte 4. */
export const EvtchnOp = struct("evtchn_op", 28, {
  cmd: u32(0), // EVTCHNOP_*
  send_port: overlay(u32(4), "u.send.port"),
  status: overlay(nested(EvtchnStatus, 4), "u.status"),
});
