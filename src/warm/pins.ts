/**
 * Which bases are pinned. A pin is on a name, since that is what people mean, and so on the content that the name was
 * last asked for with: a base that was replaced on the disk must not stay for ever beside its successor.
 *
 * @module
 */

import type { ModelSpec } from "./spec.ts";

/** Pinned bases. */
export class Pins {
  readonly #identities = new Map<string, string>();

  /** How many bases are pinned, two names of one content counted once. */
  get count(): number {
    return new Set(this.#identities.values()).size;
  }

  /** Pins a base. */
  add(spec: ModelSpec, identity: string): void {
    this.#identities.set(nameOf(spec), identity);
  }

  /** Takes a pin off; returns the content that it was on. */
  remove(spec: ModelSpec): string | undefined {
    const name = nameOf(spec);
    const identity = this.#identities.get(name);
    this.#identities.delete(name);
    return identity;
  }

  /** A name was asked for, and this is its content now. */
  follow(spec: ModelSpec, identity: string): void {
    const name = nameOf(spec);
    if (this.#identities.has(name)) this.#identities.set(name, identity);
  }

  /** Whether a content is pinned under some name. */
  has(identity: string): boolean {
    return this.#identities.values().some((pinned) => pinned === identity);
  }
}

function nameOf({ kind, base, dtype, device }: ModelSpec): string {
  return JSON.stringify([kind, base, dtype, device]);
}
