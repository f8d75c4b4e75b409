export declare class Time {
  /** Nanoseconds since boot (system time). */
  now(): number;
}
