// The log as a terminal gets it: guests have a hand in its lines, and must have none in the terminal.
import { expect, test } from "vitest";
import { HypervisorLog } from "../../hypervisor/log.ts";

test("no line carries anything that a terminal would obey, nor what becomes that in a byte", () => {
  const log = new HypervisorLog(() => 0);
  log.line("tab\there, é as it is");
  log.line("\x1b[2J \x07 \x7f \r \n \x9b31m \u011b[2J \u019b \u2028 \ud83d\ude00");
  expect(log.read(0, 1e6)).toBe("(XEN) tab\there, é as it is\n(XEN) ?[2J ? ? ? ? ?31m ?[2J ? ? ??\n");
  for (let code = 0; code < 0x10000; code++) log.line(String.fromCharCode(code));
  for (const line of log.read(0, 1e7).split("\n"))
    for (const character of line) {
      const byte = character.charCodeAt(0) & 255;
      expect(byte === 9 || (byte >= 0x20 && byte < 0x7f) || byte >= 0xa0).toBe(true);
    }
});
