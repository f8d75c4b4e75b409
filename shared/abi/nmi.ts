// table
// public/nmi.h: NMI callback of the control domain's vcpu 0, and NMI reasons.

import { struct, u64 } from "./struct.ts";

export const XENNMI_register_callback = 0;
export const XENNMI_unregister_callback = 1;

// Bits of arch_shared_info.nmi_reason.
export const XEN_NMIREASON_io_error = 1;
export const XEN_NMIREASON_pci_serr = 2;
export const XEN_NMIREASON_unknown = 4;

export const XennmiCallback = struct("xennmi_callback", 16, { handler_address: u64(0), pad: u64(8) });
