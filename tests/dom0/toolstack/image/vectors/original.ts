// What the vectors in this folder unpack to: an "ELF file" of our own making, with what each decoder finds hard. Text
// that repeats near and far, a stretch that looks like calls (for the branch filter), one dense with its opcodes, noise,
// and zeros.

/** The bytes; the same each time. */
export function original(): Uint8Array {
  const bytes = new Uint8Array(96 * 1024);
  let seed = 12345;
  const random = (below: number) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) | 0;
    return ((seed >>> 8) % below) | 0;
  };
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0]);
  const words = "domain vcpu event channel grant table frame page ring upcall trap hypercall".split(" ");
  let at = 64;
  const put = (text: string) => {
    for (let i = 0; i < text.length; i++) bytes[at++] = text.charCodeAt(i);
  };
  while (at < 20000) put(`${words[random(words.length)]} ${random(100)}, `);
  // Calls and jumps to a few targets, among other bytes: their operands are what the x86 filter changes.
  const targets = [0x400, 0x5000, 0x12345, 0x17000];
  while (at < 40000) {
    for (let i = random(6); i >= 0; i--) bytes[at++] = 0x48 + random(4);
    const opcode = 0xe8 + random(2);
    const operand = targets[random(4)] - (at + 5);
    bytes[at++] = opcode;
    for (let i = 0; i < 4; i++) bytes[at++] = operand >> (8 * i);
  }
  const dense = [0xe8, 0xe9, 0x00, 0xff, 0xe8, 0x10, 0x0f, 0x84];
  while (at < 44000) bytes[at++] = dense[random(8)];
  while (at < 46500) bytes[at++] = random(256);
  at += 30000;
  for (let i = 0; i < 6000; i++) bytes[at++] = bytes[i + 100];
  while (at < bytes.length) bytes[at++] = at % 7;
  return bytes;
}
