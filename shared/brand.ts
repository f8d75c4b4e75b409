// Branded numbers: a frame number and an address never share a variable (STYLE 7). A brand is cast only where a value
// is decoded and has been checked. Used by every layer; nothing here exists at run time.

declare const brand: unique symbol;
type Branded<T extends string> = number & { readonly [brand]: T };

/** Machine frame number: index of a 4 KiB frame of machine memory, below 2^20. */
export type Mfn = Branded<"Mfn">;
/** Pseudo-physical frame number: index of a frame in one domain's own contiguous numbering. */
export type Pfn = Branded<"Pfn">;
/** Domain id, 0 to 0x7fef; 0x7ff0 and above are the DOMID_ constants of public/xen.h. */
export type DomId = Branded<"DomId">;
/** Event channel port of one domain, 1 to 4095. */
export type Port = Branded<"Port">;
/** Index into one domain's grant table. */
export type GrantRef = Branded<"GrantRef">;
/**
 * A canonical virtual address as its low 48 bits, 0 to 2^48 - 1 (the upper 16 bits repeat bit 47 and are implied).
 * Code that decodes an address refuses non-canonical ones first.
 */
export type Va = Branded<"Va">;
