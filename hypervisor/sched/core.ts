import type { Domain } from "../domain.ts";
import type { Vcpu } from "../vcpu.ts";
export declare class SchedCore {
  wake(vcpu: Vcpu): void;
  block(vcpu: Vcpu): void;
  pause(domain: Domain): void;
  unpause(domain: Domain): void;
}
