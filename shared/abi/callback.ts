// table
// public/callback.h: registering where Xen enters a guest kernel.

import { struct, u16, u64 } from "./struct.ts";

export const CALLBACKOP_register = 0;
export const CALLBACKOP_unregister = 1;

export const CALLBACKTYPE_event = 0;
export const CALLBACKTYPE_failsafe = 1;
export const CALLBACKTYPE_syscall = 2;
export const CALLBACKTYPE_sysenter_deprecated = 3;
export const CALLBACKTYPE_nmi = 4;
export const CALLBACKTYPE_sysenter = 5;
export const CALLBACKTYPE_syscall32 = 7;

export const CALLBACKF_mask_events = 1;

export const CallbackRegister = struct("callback_register", 16, {
  type: u16(0), // CALLBACKTYPE_*
  flags: u16(2), // CALLBACKF_*
  address: u64(8),
});

export const CallbackUnregister = struct("callback_unregister", 4, { type: u16(0), _unused: u16(2) });
