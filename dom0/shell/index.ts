// The console of dom0: its public face.

export { type Services, Shell } from "./shell.ts";
