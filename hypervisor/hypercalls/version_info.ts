// What the hypervisor calls itself: its interface is Xen 4.17's, its name its own. Used by xen_version, cpuid and the
// toolstack's `xl info` by way of xen_version.

export const XEN_MAJOR = 4;
export const XEN_MINOR = 17;
export const EXTRAVERSION = ".7-xenolith";
/** One word for each guest ABI that is supported, each followed by a blank. */
export const CAPABILITIES = "xen-3.0-x86_64 ";
export const CHANGESET = "unavailable";
export const COMPILER = "TypeScript on JavaScript and WebAssembly";
export const COMPILE_BY = "xenolith";
export const COMPILE_DOMAIN = "localdomain";
export const COMPILE_DATE = "Fri Nov 20 00:00:00 UTC 2026";
/** The hypervisor's part of every address space begins here. */
export const VIRT_START = 0xffff800000000000n;
/** The log's first line. */
export const VERSION_LINE = `Xen version ${XEN_MAJOR}.${XEN_MINOR}${EXTRAVERSION} (${COMPILE_BY}@${COMPILE_DOMAIN}) ${COMPILE_DATE}`;
