// Where things lie in the memory that the processor has reserved: the block of state that running code uses, and the
// record of one decoded operation. Everything that emits code or decodes into records takes the offsets from here.

/**
 * One decoded instruction, 24 bytes. A micro-operation is an instruction: consecutive instructions lie one behind the
 * other, and so the distance between two records counts instructions.
 */
export const Uop = {
  size: 24,
  /** u16: number of the handler in the loop; `Handler` below for the ones that are no instruction. */
  op: 0,
  /** u8: byte offset, within the registers, of the first, second and third register operand. */
  dst: 2,
  src: 3,
  /** u8: of the base and index registers of an address; `base` is also a third register operand's if there is no address. */
  base: 4,
  index: 5,
  /** u8: 1, 2, 4 or 8, and `AddressFlag`. */
  scale: 6,
  /** u8: length of the instruction in bytes. */
  len: 7,
  /** i32: displacement of an address; of a direct branch its target, relative to the page of the instruction. */
  disp: 8,
  /** u16: the instruction's own place relative to its page. */
  rel: 12,
  /** u16: index in the table of functions of the one that executes the instruction alone. */
  cold: 14,
  /** i64: immediate operand, sign-extended. */
  imm: 16,
  /** u32: of a direct branch: the record that it goes to. */
  target: 16,
} as const;

/** Handler numbers of the records that are no instruction, and take none of the budget. */
export const Handler = {
  /** Go to the address `disp` in this page, by way of the code TLB. What a dropped record becomes, too. */
  LOOKUP: 0,
  /** The same within one frame whose map is at `imm` + 4; the record found is written to the address at `imm`. */
  LINK: 1,
  /** Go on at the record `target`. */
  GOTO: 2,
  /** Look at the budget: there is one at least every `CHECK_EVERY` instructions. */
  CHECK: 3,
  /** An instruction that begins in this frame and ends in the next. */
  STRADDLE: 4,
  /** Go to the address in BRANCH, where an instruction's own function has said to; it stands for that instruction. */
  LAND: 5,
  /** The first number that the instructions' own handlers have. */
  FIRST: 6,
} as const;

/**
 * Behind the map of a code frame, 4096 u32 (the records by offset): a u32 for each 16 bytes of the frame, how often an address
 * there was looked up, by a jump that is indirect or from another page.
 */
export const COUNTS_OFFSET = 4096 * 4;

/** Straight-line instructions between two looks at the budget, and what a slice must leave for single steps. */
export const CHECK_EVERY = 64;
export const MARGIN = (CHECK_EVERY + 4) * Uop.size;

/** Registers of the state block by number: `Reg` of cpu_state.ts up to CR2, then these. Byte offset is 8 times that. */
export const Slot = {
  /** Set when the loop returns. */
  RIP: 16,
  /** Set when the loop returns; what the hypervisor writes here counts when it is entered. */
  RFLAGS: 17,
  FS_BASE: 18,
  GS_BASE: 19,
  CR2: 21,
  /** Always zero: the base or index of an address that has none. */
  ZERO: 22,
  /** Full address of the page that is being executed. */
  PAGE: 23,
  /**
   * Lazy flags. RESULT is the last result shifted up so that its top bit is bit 63: ZF and SF. STATE bits 0-1 are log2 of
   * its size in bytes; bit 2: CF, OF and AF are those of an addition, bit 3: of a subtraction, whose second operand,
   * shifted likewise, is SOURCE. If neither: bit 63 is CF, bit 62 is CF xor OF, bit 61 inverts SF, bit 60 PF, bit 4 is AF.
   */
  FLAG_RESULT: 24,
  FLAG_SOURCE: 25,
  FLAG_STATE: 26,
  /** Where a branch that an instruction's function took goes. */
  BRANCH: 27,
  TEMP: 28,
  /** The address space number that tags are compared with. */
  ASID: 29,
  /** DF, TF, NT, AC, ID where RFLAGS has them. The arithmetic flags are in FLAG_*. */
  OTHER_FLAGS: 30,
  /** RFLAGS as it was when the loop returned: as long as it is the same, OTHER_FLAGS and FLAG_* still say what it says. */
  FLAGS_LEFT: 31,
  count: 32,
} as const;

/** Bits of FLAG_STATE. */
export const Lazy = { ADD: 4, SUB: 8, MASK: 12, AF: 16 } as const;

/** Byte offsets in the state block, behind the registers. */
export const State = {
  registers: 0,
  /** u32: `ExitKind` when a function has returned Next.EXIT or Next.EXIT_AFTER. */
  exitKind: 0x100,
  /** u32: exception vector, error code. */
  vector: 0x104,
  errorCode: 0x108,
  /** u32: unspent budget, in bytes of records, when the loop returned. */
  remaining: 0x10c,
  /** u32: with how much of it the loop was entered, and how many instructions were executed until it returned. */
  budget: 0x124,
  executed: 0x128,
  /** u32: not 0 while a store into the bounce buffer has yet to be carried out. */
  pending: 0x110,
  /** u32: the record being executed by its own function. */
  current: 0x114,
  /** u32: CR0.TS. */
  ts: 0x118,
  /** u32: set by requestExit. */
  exitFlag: 0x11c,
  /** u32: host address of the fxsave image of the vcpu that runs. */
  fxsave: 0x120,
  /** 64 bytes each: where operands that cross a page are put together. */
  bounceRead: 0x140,
  bounceWrite: 0x180,
  /** The record LAND. */
  landing: 0x200,
  size: 0x1000,
} as const;

/** What an instruction's function returns when it isn't the record to go on with. */
export const Next = {
  /** Ended without effect, for the reason in `exitKind`. */
  EXIT: 0,
  /** Done; go on at the address in BRANCH. */
  JUMP: 1,
  /** Done, and return for the reason in `exitKind`; RIP is in BRANCH. */
  EXIT_AFTER: 2,
  /** Of host functions only: done; go on behind the instruction. */
  NEXT: 3,
} as const;

/** Value of `exitKind`, beside those of Exit: done, and nothing concerns the hypervisor, but the loop must be left. */
export const INTERNAL_EXIT = 100;

/** What the loop returns. */
export const LoopExit = {
  BUDGET: 0,
  /** Nothing is decoded at RIP, or it isn't in the code TLB. */
  NEED_CODE: 1,
  /** An instruction said so: `exitKind`. */
  EXIT: 2,
  /** The instruction's own function is to be called. */
  FUNCTION: 3,
} as const;

/** What a region's function returns (regions/compile.ts). RIP is in BRANCH, what is left of the budget in `remaining`. */
export const RegionExit = {
  /** Go on at BRANCH. */
  JUMP: 0,
  /** Go on at BRANCH, with the interpreter for one instruction at least. */
  HERE: 1,
} as const;

/**
 * A record at which a region is entered has a number from FIRST up for its handler, which names an entry of the table of
 * entries. All else of it stays: handlers of several instructions read it.
 */
export const Entry = {
  FIRST: 0x2000,
  /** The most entries. */
  LIMIT: 16384,
  /** Bytes of an entry. */
  size: 16,
  /** u32: the region's function in the table. */
  table: 0,
  /** u32: the block to begin at. */
  node: 4,
  /** u32: least budget in bytes of records. */
  need: 8,
  /** i32: how far the entry's page is above the region's first. */
  shift: 12,
} as const;

/** What the `Uop.scale` byte says beside the factor; only the general addressing function honours it. */
export const AddressFlag = {
  /** The factor of the index: 1, 2, 4 or 8. */
  FACTOR: 0x0f,
  /** Address size prefix: the sum is cut to 32 bits. */
  ADDR32: 0x10,
  /** Add FS.base or GS.base: only where base and index are both taken already. */
  FS: 0x20,
  GS: 0x40,
  /** The address is the immediate, 64 bits. */
  ABSOLUTE: 0x80,
} as const;
