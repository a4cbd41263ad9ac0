/**
 * Which adapters of one base are used, and which was not for the longest: they are small, but there can be hundreds.
 *
 * @module
 */

import type { ResidentAdapter, ResolvedAdapter } from "../model/backend.ts";

interface Use {
  readonly name: string;
  leases: number;
  /** Number of its last use. */
  last: number;
}

/** The adapters that one base was used with. */
export class AdapterUse {
  readonly #uses = new Map<string, Use>();
  #count = 0;

  /** The names of those in memory that were used, in the order of their last use. */
  names(resident: readonly ResidentAdapter[]): string[] {
    const uses = resident.flatMap(({ identity }) => this.#uses.get(identity) ?? []);
    return [...new Set(uses.sort((one, other) => one.last - other.last).map(({ name }) => name))];
  }

  /** A request is about to use one. */
  begin({ name, identity }: ResolvedAdapter): void {
    const use = this.#uses.get(identity) ?? { name, leases: 0, last: 0 };
    use.leases++;
    use.last = ++this.#count;
    this.#uses.set(identity, use);
  }

  /** It is done with it. */
  end({ identity }: ResolvedAdapter): void {
    const use = this.#uses.get(identity);
    if (use === undefined) return;
    use.leases--;
    use.last = ++this.#count;
  }

  /**
   * Of those in memory the ones that have to go so that `most` are left, the least recently used first, and forgets
   * them. One in use stays, though there be too many.
   */
  takeLeastUsed(resident: readonly ResidentAdapter[], most: number): ResidentAdapter[] {
    const known = resident.filter(({ identity }) => this.#uses.has(identity));
    const victims = known
      .filter(({ identity }) => this.#uses.get(identity)!.leases === 0)
      .sort((one, other) => this.#uses.get(one.identity)!.last - this.#uses.get(other.identity)!.last)
      .slice(0, Math.max(0, known.length - most));
    for (const { identity } of victims) this.#uses.delete(identity);
    return victims;
  }
}
