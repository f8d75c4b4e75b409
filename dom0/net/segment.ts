// Segmentation offload undone: a long TCP frame that stands for many (Frame.gsoSize) is cut into those for a receiver that takes
// no such frames (RFC 9293, RFC 791, RFC 8200): sequence numbers go on, FIN and PSH are the last one's, CWR the first one's;
// lengths, identification and checksums are each segment's own. Headers are the guest's: a frame that is not what it says is
// dropped. Used by ports before their queue.

import { fillChecksum, fold, sum16 } from "../../shared/checksum.ts";
import { Csum, ETH_HEADER, type Frame, type FramePool } from "./frame.ts";

const TYPE_IPV4 = 0x0800;
const TYPE_IPV6 = 0x86dd;
const TCP = 6;
const IPV6_HEADER = 40;
const FIN = 0x01;
const PSH = 0x08;
const CWR = 0x80;

/** Where the TCP header begins and ends, 0 for a frame that isn't TCP over IPv4 or IPv6. */
function tcpHeader(frame: Frame): { at: number; end: number; v4: boolean } | undefined {
  const { view, size } = frame;
  const type = view.getUint16(12);
  const v4 = type === TYPE_IPV4;
  if (!v4 && type !== TYPE_IPV6) return undefined;
  if (size < ETH_HEADER + (v4 ? 20 : IPV6_HEADER)) return undefined;
  const header = v4 ? (view.getUint8(ETH_HEADER) & 15) * 4 : IPV6_HEADER;
  const protocol = view.getUint8(ETH_HEADER + (v4 ? 9 : 6));
  const at = ETH_HEADER + header;
  if (header < 20 || protocol !== TCP || at + 20 > size) return undefined;
  const end = at + (view.getUint8(at + 12) >> 4) * 4;
  return end >= at + 20 && end <= size ? { at, end, v4 } : undefined;
}

/** Whether a frame with a segment size is what such a frame must be; others would only hurt who trusts it. */
export function canSegment(frame: Frame): boolean {
  return tcpHeader(frame) !== undefined;
}

/** Gives `emit` the segments, each released after it. False when the frame is none that can be cut: it is dropped. */
export function segment(frame: Frame, pool: FramePool, emit: (segment: Frame) => void): boolean {
  const tcp = tcpHeader(frame);
  if (tcp === undefined) return false;
  const { at, end, v4 } = tcp;
  const sequence = frame.view.getUint32(at + 4);
  const flags = frame.view.getUint8(at + 13);
  const id = v4 ? frame.view.getUint16(ETH_HEADER + 4) : 0;
  for (let from = end, n = 0; from < frame.size; n++) {
    const length = Math.min(frame.gsoSize, frame.size - from);
    const piece = pool.alloc(end + length);
    if (piece === undefined) return true; // Full: the rest is lost as on any wire.
    piece.room.set(frame.room.subarray(0, end));
    piece.room.set(frame.room.subarray(from, from + length), end);
    const { view } = piece;
    if (v4) {
      view.setUint16(ETH_HEADER + 2, end - ETH_HEADER + length);
      view.setUint16(ETH_HEADER + 4, (id + n) & 0xffff);
      view.setUint16(ETH_HEADER + 10, 0);
      view.setUint16(ETH_HEADER + 10, fold(sum16(view, ETH_HEADER, at)));
    } else view.setUint16(ETH_HEADER + 4, end - at + length);
    view.setUint32(at + 4, (sequence + from - end) >>> 0);
    const last = from + length === frame.size;
    view.setUint8(at + 13, flags & ~(last ? 0 : FIN | PSH) & ~(n === 0 ? 0 : CWR));
    fillChecksum(view, piece.size);
    piece.csum = Csum.valid;
    emit(piece);
    piece.release();
    from += length;
  }
  return true;
}
