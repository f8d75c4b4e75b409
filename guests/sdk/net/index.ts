// Networking for TypeScript kernels: the frontend, and the small stack on it.
export { dhcp, type Lease } from "./dhcp.ts";
export { NetFront, type NetFrontOptions } from "./front.ts";
export { formatIp, parseIp } from "./packets.ts";
export { type Datagram, NetStack, UdpSocket } from "./stack.ts";
