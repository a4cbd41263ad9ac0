/**
 * The votes of a sketch. Features of a request vote on 128 bits at a cost of some 30 ns each, which is what lets every
 * stored request have a sketch: four counters of 8 bits lie side by side in one number, and one addition serves all four.
 *
 * @module
 */

const BITS = 128;
/** Votes that a counter of 8 bits can hold. */
const FULL = 255;
/** Weights are rounded to this fraction, so that sums are exact and the order of votes changes nothing. */
const UNIT = 64;

/** A feature is 32 bits; the one to start from. */
export const NO_FEATURE: number = 0x811c9dc5 | 0;

/** A feature with one more UTF-16 code unit in it: FNV-1a. http://www.isthe.com/chongo/tech/comp/fnv/ */
export function addUnit(feature: number, unit: number): number {
  return Math.imul(feature ^ unit, 0x01000193);
}

/** A feature with a text in it; `ab` and `c` make another than `a` and `bc`. */
export function featureOf(feature: number, text: string): number {
  let value = feature;
  for (let at = 0; at < text.length; at++) value = addUnit(value, text.charCodeAt(at));
  return addUnit(value, 0xffff);
}

/** What became of the votes so far: for each bit, by how much those for it lead. */
export class Election {
  readonly #leads = new Float64Array(BITS);
  readonly #counters = new Uint32Array(BITS / 4);
  #uncounted = 0;
  #units = UNIT;

  /** Votes for or against every bit, as the feature's hash says. `weight` is at most 1, the default. */
  vote(feature: number, weight = 1): void {
    const units = Math.round(weight * UNIT);
    if (units !== this.#units || this.#uncounted === FULL) this.#count();
    this.#units = units;
    this.#uncounted++;
    const counters = this.#counters;
    let state = feature;
    for (let first = 0; first < BITS / 4; first += 8) {
      // A word of 32 fair bits: the finaliser of MurmurHash3 (Austin Appleby, public domain) over a counter.
      state = (state + 0x9e3779b9) | 0;
      let bits = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
      bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
      bits ^= bits >>> 16;
      for (let at = first; at < first + 8; at++, bits >>>= 4) {
        // Four copies of the lowest four bits, 7 apart, put each of them at the foot of a byte.
        counters[at]! += Math.imul(bits & 15, 0x204081) & 0x01010101;
      }
    }
  }

  /** By how much each bit leads. */
  leads(): Readonly<Float64Array> {
    this.#count();
    return this.#leads;
  }

  #count(): void {
    for (let bit = 0; bit < BITS; bit++) {
      const votes = (this.#counters[bit >> 2]! >>> (8 * (bit & 3))) & 0xff;
      this.#leads[bit]! += (2 * votes - this.#uncounted) * this.#units;
    }
    this.#counters.fill(0);
    this.#uncounted = 0;
  }
}

/** The 128 bits that lead in all elections together, as 16 bytes. Each counts for its share, however many voted in it. */
export function decide(elections: readonly (readonly [election: Election, share: number])[]): Uint8Array {
  const sums = new Float64Array(BITS);
  for (const [election, share] of elections) {
    const leads = election.leads();
    const length = Math.sqrt(leads.reduce((sum, lead) => sum + lead * lead, 0));
    if (length > 0) { for (let bit = 0; bit < BITS; bit++) sums[bit]! += (leads[bit]! / length) * share; }
  }
  const sketch = new Uint8Array(BITS / 8);
  for (let bit = 0; bit < BITS; bit++) if (sums[bit]! > 0) sketch[bit >> 3]! |= 1 << (bit & 7);
  return sketch;
}
