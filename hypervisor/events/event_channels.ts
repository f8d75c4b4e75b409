export declare class EventChannels {
  /** Closes every port; the peers see it. */
  destroy(): void;
}
