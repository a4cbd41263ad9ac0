/**
 * Who has to go: the one decision that, taken wrongly, answers a request from a model that is being closed. Pure, so
 * that it can be read and tested without anything loaded.
 *
 * @module
 */

/** A base in memory, or on its way there, as far as the decision looks at it. */
export interface Resident {
  /** Requests that use it or wait for it. */
  readonly leases: number;
  /** Grows with every use of any base; the smallest is the least recently used. */
  readonly lastUse: number;
}

/** How much room there is, and how much is wanted. */
export interface Room {
  /** How many bases may be in memory. */
  readonly maxLoaded: number;
  /** How many more are asked for. */
  readonly wanted: number;
}

/**
 * The bases to evict so that the wanted ones find room, least recently used first; one whose load nobody waits for any
 * more may be among them. Fewer than needed when the others are leased. `residents` are those that stay unless they are
 * chosen; places already being emptied are neither counted nor chosen again.
 */
export function chooseVictims<R extends Resident>(residents: Iterable<R>, { maxLoaded, wanted }: Room): R[] {
  const all = [...residents];
  const needed = Math.max(0, all.length + wanted - maxLoaded);
  return all
    .filter(({ leases }) => leases === 0)
    .sort((one, other) => one.lastUse - other.lastUse)
    .slice(0, needed);
}
