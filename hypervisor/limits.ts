// Every limit of the hypervisor, each with its reason (STYLE 20). Limits that are part of the ABI are in shared/abi/.

/** vcpus of one domain: the legacy array in shared_info has 32, and more never pay on one processor. */
export const MAX_VCPUS = 32;
/** Highest ordinary domain id + 1, as in Xen (DOMID_FIRST_RESERVED). */
export const MAX_DOMID = 0x7ff0;
/** Domains that exist at the same time, dying ones included: bounds the hypervisor's own memory. */
export const MAX_DOMAINS = 1024;

/** Grant table and maptrack frames of a domain, by default and at most: Xen's own figures. */
export const DEFAULT_GRANT_FRAMES = 64;
export const DEFAULT_MAPTRACK_FRAMES = 1024;
export const MAX_GRANT_FRAMES = 64;
export const MAX_MAPTRACK_FRAMES = 1024;

/** Bytes copied at once from or to guest memory: the size of `hv.scratch`. Larger arguments are taken in pieces. */
export const SCRATCH_BYTES = 65536;
/** Entries of one batch (mmu_update, multicall, trap table) between looks at whether others must run. */
export const PREEMPT_ENTRIES = 64;

/** Console log ring, characters: as much as Xen's default of 16 KiB and four times that for our own lines. */
export const LOG_RING_BYTES = 65536;
/** The longest log line. */
export const LOG_LINE_CHARS = 512;
/** Lines of one domain that a debug key may take in the log. */
export const DEBUG_KEY_LINES = 64;
/** Lines that guests may cause in a burst (Xen's default is 10 in 5 s; a crash report has about 20 lines). */
export const GUEST_LOG_BURST = 40;
/** One more such line is allowed each so many nanoseconds. */
export const GUEST_LOG_INTERVAL_NS = 100_000_000;
/** Bytes that CONSOLEIO_write takes at once, as Xen's chunk; and the longest line kept before it is flushed. */
export const CONSOLE_CHUNK_BYTES = 4096;
export const CONSOLE_LINE_CHARS = 256;

/** Physical interrupts of the machine: device lines. */
export const NR_PIRQS = 256;

/** SCHEDOP_watchdog timers of a domain, as in Xen. */
export const WATCHDOG_TIMERS = 2;
/** Ports one SCHEDOP_poll may name, as in Xen. */
export const MAX_POLL_PORTS = 128;
/** The shortest periodic timer, as in Xen: 1 ms. */
export const MIN_PERIODIC_NS = 1_000_000;

/** On the virtual clock the host's answers come so long after the ring, however long the host takes: an SSD's latency. */
export const VIRTUAL_DEVICE_NS = 50_000;

/** The longest stretch between looks at device interrupts on the real clock: bounds their latency. */
export const REAL_SLICE_NS = 100_000;
/** The time of day at which the virtual clock begins, ns since 1970, unless it is given: 2026-01-01, whenever the run takes place. */
export const VIRTUAL_WALLCLOCK_NS = 1_767_225_600_000_000_000n;
/** The longest run() on the virtual clock: there the next timer bounds it, and devices are looked at between runs. */
export const VIRTUAL_SLICE_NS = 1_000_000;
