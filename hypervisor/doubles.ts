// Fields that hold times or addresses, as the engine sees them: small integers below 2^31, doubles above. The first double in such
// a field throws away all optimized code that knows objects of its class, and a machine that booted Linux did so 50 times over. So these
// fields are doubles from the beginning. Used where classes initialise them.

/** Zero, as a double: minus zero is no small integer. */
export const ZERO = -0;

/** Makes fields doubles that begin as other small integers. To be called in the constructor. */
export function asDoubles<K extends string>(object: Record<K, number>, fields: readonly K[]): void {
  for (const field of fields) {
    const value = object[field];
    object[field] = 0.5;
    object[field] = value;
  }
}
