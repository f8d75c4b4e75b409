// Bits of RFLAGS (Intel SDM volume 1, 3.4.3).

export const Flag = {
  CF: 0x1,
  TF: 0x100,
  IF: 0x200,
  DF: 0x400,
  IOPL: 0x3000,
  NT: 0x4000,
  RF: 0x10000,
  VM: 0x20000,
  AC: 0x40000,
} as const;
