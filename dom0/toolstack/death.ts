// What a configuration says to do when its domain shuts down, and the name that a preserved one gets. Called by
// toolstack.ts.

import { SHUTDOWN_crash, SHUTDOWN_poweroff, SHUTDOWN_reboot, SHUTDOWN_watchdog } from "../../shared/abi/sched.ts";
import type { DomainConfig, ShutdownAction } from "./config/index.ts";

/** The action for a SHUTDOWN_ reason. A reason that nobody knows, and soft reset, which isn't there, end the domain. */
export function actionFor(config: DomainConfig, reason: number): ShutdownAction {
  switch (reason) {
    case SHUTDOWN_poweroff:
      return config.onPoweroff;
    case SHUTDOWN_reboot:
      return config.onReboot;
    case SHUTDOWN_crash:
      return config.onCrash;
    case SHUTDOWN_watchdog:
      return config.onWatchdog;
    default:
      return "destroy";
  }
}

/** The name of a domain that is kept aside: with the time, as `name-20261120T0940Z`. */
export function preservedName(name: string, nowMs: number): string {
  const iso = new Date(nowMs).toISOString();
  return `${name}-${iso.slice(0, 10).replaceAll("-", "")}T${iso.slice(11, 16).replace(":", "")}Z`;
}
