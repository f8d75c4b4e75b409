// xenstored as a thread of dom0: opens the rings of introduced domains (mapped through grant entry 1, as the domain
// builder fills it), serves them in turn so that a busy guest can't hog, and hears from the hypervisor when a domain shuts
// down or dies (VIRQ_DOM_EXC).

import type { EventPort, Kernel, Mapping, Task } from "../../guests/sdk/index.ts";
import { GrantError, WaitQueue, yieldNow } from "../../guests/sdk/index.ts";
import { GNTTAB_RESERVED_XENSTORE } from "../../shared/abi/grant_table.ts";
import { VIRQ_DOM_EXC } from "../../shared/abi/xen.ts";
import type { DomId, Port } from "../../shared/brand.ts";
import { XsError } from "./errors.ts";
import { RingConnection } from "./ring_connection.ts";
import { type Connection, type DomainState, XenStored } from "./server.ts";

export class XenStoreDaemon {
  readonly server: XenStored;
  readonly #kernel: Kernel;
  /** Connections that have something to do. */
  readonly #dirty = new Set<RingConnection>();
  readonly #work = new WaitQueue();
  #domainsChanged = false;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.server = new XenStored(
      (server, domid, _frame, port) => this.#open(server, domid as DomId, port as Port),
      (error) => kernel.log(`xenstored: ${error instanceof Error ? (error.stack ?? error.message) : error}`),
    );
  }

  /** The daemon's thread. `stateOf` asks the hypervisor about a domain. */
  *run(stateOf: (domid: number) => DomainState): Task {
    const exception = this.#kernel.events.bindVirq(VIRQ_DOM_EXC);
    exception.onEvent = () => {
      this.#domainsChanged = true;
      this.#work.wakeAll();
    };
    for (;;) {
      yield* this.#work.until(() => this.#dirty.size > 0 || this.#domainsChanged);
      if (this.#domainsChanged) {
        this.#domainsChanged = false;
        this.server.checkDomains(stateOf);
      }
      for (const connection of [...this.#dirty]) {
        // One that was closed meanwhile is no longer there.
        if (!this.#dirty.delete(connection)) continue;
        if (connection.service(() => this.#kernel.systemTimeNs())) this.#dirty.add(connection);
        yield* yieldNow();
      }
    }
  }

  #open(server: XenStored, domid: DomId, remotePort: Port): Connection {
    let mapping: Mapping | undefined;
    let port: EventPort;
    try {
      mapping = this.#kernel.mapGrant(domid, GNTTAB_RESERVED_XENSTORE, false);
      port = this.#kernel.events.bindInterdomain(domid, remotePort);
    } catch (error) {
      mapping?.unmap();
      throw new XsError("EINVAL", `domain ${domid}: ${error instanceof Error ? error.message : String(error)}`);
    }
    const page = mapping;
    const wake = (): void => {
      this.#dirty.add(connection);
      this.#work.wakeAll();
    };
    const notify = (): void => {
      try {
        port.notify();
      } catch {
        // The domain has closed its end or is gone: VIRQ_DOM_EXC tells.
      }
    };
    const connection = new RingConnection(server, domid, page.page(0), notify, wake);
    port.onEvent = wake;
    wake();
    return {
      session: connection.session,
      close: () => {
        this.#dirty.delete(connection);
        port.close();
        try {
          page.unmap();
        } catch (error) {
          // Its domain is gone altogether, and its pages with it.
          if (!(error instanceof GrantError)) throw error;
        }
      },
    };
  }
}
