/**
 * One copy of a request's answers from a tier into one above it. Others use the same stores: what they have put into the
 * upper tier since it was looked into is not written over, and what they have replaced or removed below meanwhile does not
 * stay above, for after the copy the tier below is looked into once more.
 *
 * @module
 */

import type { Clock } from "../../runtime/runtime.ts";
import type { Found, NewEntry, StoredEntry, Want } from "../store.ts";
import { fieldsOf } from "./entry_fields.ts";
import type { Tier } from "./tier.ts";

/** What is to be copied. */
export interface CopyUp {
  readonly model: string;
  /** With a record. */
  readonly want: Want;
  readonly place: string;
  readonly from: Tier;
  readonly to: Tier;
  /** What was found below. */
  readonly below: readonly StoredEntry[];
  /** What was found above, of so many samples. */
  readonly above: readonly StoredEntry[];
  readonly samples: number;
  /** Whether nobody here has put or removed anything since. */
  readonly mayBeKept: () => boolean;
}

/**
 * The tag of what was copied from a lower tier. Which tags it has there is not known here, so a removal by tag takes all
 * such copies with it: they come back when they are asked for, where they still are.
 */
export const BACK_FILLED = "warmcache:back-filled";

const TRIED = "keep a copy of an answer";
/** After so many copies that were overtaken, the last one is taken back. */
const MOST_COPIES = 3;

/**
 * Makes a copy, or finds that it must not be made.
 *
 * @throws CacheError when the upper tier fails, or an answer cannot be read.
 */
export async function copyUp(copy: CopyUp, clock: Clock): Promise<void> {
  const { place, from, to, samples } = copy;
  if (!areSame(await fresh(to, copy, samples, clock), copy.above)) return;
  if (!copy.mayBeKept()) return;
  const isOutdated = to.outdated.has(place);
  const above = isOutdated ? [] : copy.above;
  // Until it is known to be right, nobody here goes by it.
  to.outdated.set(place, {});
  let below = copy.below;
  for (let copies = 1;; copies++) {
    try {
      await keep(copy, union(below, above));
    } catch (error) {
      if (!isOutdated && copies === 1) to.outdated.delete(place);
      throw error;
    }
    // Who cannot be asked any more said so a moment ago.
    const now = await orElse(fresh(from, copy, Number.MAX_SAFE_INTEGER, clock), below);
    if (areSame(now, below)) break;
    below = now;
    if (below.length > 0 && copies < MOST_COPIES) continue;
    await takeBack(copy, above);
    break;
  }
  to.outdated.delete(place);
}

/** Those whose time has not passed, which come first. */
export function freshOf({ entries }: Found, clock: Clock): readonly StoredEntry[] {
  const now = clock.now();
  return entries.filter(({ expires }) => expires === null || expires > now);
}

async function fresh(
  tier: Tier,
  { model, want: { key } }: CopyUp,
  samples: number,
  clock: Clock,
): Promise<readonly StoredEntry[]> {
  const [found] = await tier.ask((store) => store.lookup(model, [{ key, samples }]), { tried: TRIED, model });
  return freshOf(found!, clock);
}

async function keep({ model, want, to }: CopyUp, entries: readonly StoredEntry[]): Promise<void> {
  const copied = entries.map((entry): NewEntry => ({ ...fieldsOf(entry), body: entry.bytes() }));
  const options = { tags: [BACK_FILLED] };
  await to.ask((store) => store.put(model, want.record!(), copied, "replace_all", options), { tried: TRIED, model });
}

/** Leaves of a copy what was in the upper tier before. */
async function takeBack(copy: CopyUp, above: readonly StoredEntry[]): Promise<void> {
  const { model, want: { key }, to } = copy;
  if (above.length > 0) return await keep(copy, above);
  await to.ask((store) => store.remove({ model, keys: [key] }), { tried: TRIED, model });
}

/** What is stored below, and behind it what only the tier above has: written while the one below did not answer. */
function union(below: readonly StoredEntry[], above: readonly StoredEntry[]): readonly StoredEntry[] {
  return [...below, ...above.filter((entry) => !below.some((other) => isSame(entry, other)))];
}

function areSame(left: readonly StoredEntry[], right: readonly StoredEntry[]): boolean {
  return left.length === right.length && left.every((entry, index) => isSame(entry, right[index]!));
}

function isSame(left: StoredEntry, right: StoredEntry): boolean {
  if (left.created !== right.created) return false;
  const [mine, others] = [left.bytes(), right.bytes()];
  if (mine.length !== others.length) return false;
  for (let index = 0; index < mine.length; index++) if (mine[index] !== others[index]) return false;
  return true;
}

async function orElse<T>(promise: Promise<T>, otherwise: T): Promise<T> {
  try {
    return await promise;
  } catch {
    return otherwise;
  }
}
