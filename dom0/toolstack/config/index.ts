// Reading xl.cfg files: the public face of dom0/toolstack/config/.

import { type DomainConfig, domainConfig } from "./domain_config.ts";
import { parseSettings } from "./parser.ts";

export { type DomainConfig, SHUTDOWN_ACTIONS, type ShutdownAction } from "./domain_config.ts";
export { ConfigError } from "./errors.ts";

/**
 * Reads `text`, the content of `file`, then `overrides`: settings given on the command line, each in the file's own
 * syntax. `warn` gets one line for each warning. Throws ConfigError.
 */
export function readDomainConfig(
  file: string,
  text: string,
  overrides: readonly string[],
  warn: (line: string) => void,
): DomainConfig {
  const fromFile = parseSettings(file, text);
  return domainConfig(file, parseSettings("command line", overrides.join("\n"), fromFile), warn);
}
