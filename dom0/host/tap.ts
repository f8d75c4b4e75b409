// The uplink "tap:NAME": a network interface of a Linux host, as `ip tuntap` makes it or, with the right to do so, made here for as
// long as the machine runs. Attaching to one is an ioctl, for which Node has no call: a few lines of Perl, which Debian
// always has, do it and carry frames to and fro. Used by net.ts. docs/NETWORK.md says what a person has to set up.

import { type ChildProcess, spawn } from "node:child_process";
import type { Socket } from "node:net";
import { getSystemErrorName } from "node:util";
import { fault } from "./raw_file.ts";
import { RETRY_MS, Stream } from "./stream.ts";

/** As the kernel takes names, without what a shell or ip would take for something else. */
const NAME = /^tap:([A-Za-z0-9_][A-Za-z0-9_.-]{0,14})$/;
const MAX_FRAME = 65535;
const BATCH = 65536;

const REASONS: Readonly<Record<string, string>> = {
  EPERM: "not permitted; its owner may: ip tuntap add NAME mode tap user USER",
  EACCES: "/dev/net/tun may not be opened",
  ENOENT: "this host has no /dev/net/tun",
  EBUSY: "the interface is in use by another program",
  EINVAL: "there is an interface of that name, and it is no tap",
};

/**
 * Attaches to the interface (TUNSETIFF with IFF_TAP | IFF_NO_PI, linux/if_tun.h), says so by a frame of no bytes, and moves frames
 * between it and descriptor 3 until that ends. What the interface doesn't take is lost. Its exit status is the errno.
 */
const RELAY = `
use strict;
use Errno "EAGAIN";
use Fcntl;
sub fail { exit($! + 0) }
sysopen(my $tap, "/dev/net/tun", O_RDWR | O_NONBLOCK) or fail;
my $request = pack("a16 S x22", $ARGV[0], 0x1002);
ioctl($tap, 0x400454ca, $request) or fail;
open(my $link, "+<&=", 3) or fail;
my ($in, $out) = ("", pack("N", 0));
while (1) {
  while (length $out < ${BATCH}) {
    my $got = sysread($tap, my $frame, ${MAX_FRAME});
    fail unless $got or $! == EAGAIN;
    last unless $got;
    $out .= pack("N/a*", $frame);
  }
  (syswrite($link, $out) // 0) == length $out or exit if length $out;
  $out = "";
  my $ready = "";
  vec($ready, fileno($_), 1) = 1 for $tap, $link;
  select($ready, undef, undef, undef) > 0 or next;
  next unless vec($ready, fileno($link), 1);
  sysread($link, $in, ${BATCH}, length $in) or exit;
  my $at = 0;
  while ($at + 4 <= length $in) {
    my $size = unpack("N", substr($in, $at, 4));
    last if $at + 4 + $size > length $in;
    syswrite($tap, $in, $size, $at + 4);
    $at += 4 + $size;
  }
  substr($in, 0, $at) = "";
}
`;

export class TapStream extends Stream {
  readonly #name: string;
  #child: ChildProcess | undefined = undefined;

  constructor(spec: string) {
    super();
    const [, name] = NAME.exec(spec) ?? [];
    if (name === undefined) throw fault("EINVAL", `uplink "${spec}"`);
    this.#name = name;
  }

  async start(): Promise<void> {
    try {
      await this.#run();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  protected override lost(): void {
    this.#child?.kill();
    // If that fails, its socket ends, and it is lost again.
    setTimeout(() => this.#run().catch(() => {}), RETRY_MS).unref();
  }

  override close(): void {
    super.close();
    this.#child?.kill();
  }

  #run(): Promise<void> {
    if (this.closed) return Promise.resolve();
    const child = spawn("perl", ["-e", RELAY, this.#name], { stdio: ["ignore", "ignore", "ignore", "pipe"] });
    this.#child = child;
    const socket = child.stdio[3] as Socket;
    return new Promise((resolve, reject) => {
      child.once("error", () => reject(fault("EOPNOTSUPP", "perl, which attaches to the interface, can't be started")));
      child.once("exit", (status) => {
        const code = status ? getSystemErrorName(-status) : "EIO";
        reject(fault(code, REASONS[code] ?? `the interface can't be attached to: ${code}`));
      });
      this.use(socket);
      socket.once("data", () => resolve());
    });
  }
}
