/**
 * The search for the sketches nearest to one, for every store alike: sketches lie packed in blocks, and 100,000 of them
 * are compared in a few milliseconds, which is less than an index over them would cost to keep.
 *
 * A block is a row of records of 24 bytes: an id (64 bits, little-endian) and its sketch.
 *
 * @module
 */

/** Bytes of a sketch. */
export const SKETCH_BYTES = 16;

/** Bytes of a record in a block. */
export const RECORD_BYTES = 24;

/** One that is near. */
export interface NearSketch {
  /** The id it was shown with. */
  readonly id: number;
  /** Bits that differ, 0 to 128. */
  readonly distance: number;
}

/**
 * Packs sketches into a block.
 *
 * @throws RangeError when there are not as many ids as sketches, an id is no integer from 0 to 2^53 - 1, or a sketch has
 * another length than {@link SKETCH_BYTES}.
 */
export function packSketch(ids: readonly number[], sketches: readonly Uint8Array[]): Uint8Array {
  if (ids.length !== sketches.length) {
    throw new RangeError(`Cannot pack sketches (each needs one id): ${ids.length} ids, ${sketches.length} sketches`);
  }
  const block = new Uint8Array(ids.length * RECORD_BYTES);
  const view = new DataView(block.buffer);
  for (const [index, id] of ids.entries()) {
    checkId(id);
    checkSketch(sketches[index]!);
    view.setUint32(index * RECORD_BYTES, id % 2 ** 32, true);
    view.setUint32(index * RECORD_BYTES + 4, Math.floor(id / 2 ** 32), true);
    block.set(sketches[index]!, index * RECORD_BYTES + 8);
  }
  return block;
}

/** Keeps the nearest of all sketches it is shown. Of those equally near, the lowest ids. */
export class NearestSketches {
  readonly #words: readonly [number, number, number, number];
  readonly #limit: number;
  readonly #best: NearSketch[] = [];
  /** What is farther need not be looked at. */
  #farthest = 8 * SKETCH_BYTES;

  /**
   * Looks for the `limit` sketches nearest to `sketch`.
   *
   * @throws RangeError when the sketch has another length than {@link SKETCH_BYTES} or `limit` is no positive integer.
   */
  constructor(sketch: Uint8Array, limit: number) {
    checkSketch(sketch);
    if (!Number.isSafeInteger(limit) || limit < 1) {
      throw new RangeError(`Cannot look for the nearest sketches (limit has to be a positive integer): ${limit}`);
    }
    const view = viewOf(sketch);
    const word = (at: number): number => view.getInt32(at, true);
    this.#words = [word(0), word(4), word(8), word(12)];
    this.#limit = limit;
  }

  /**
   * Shows one sketch, which begins at `offset`.
   *
   * @throws RangeError when there are not {@link SKETCH_BYTES} bytes from there, or the id is no integer from 0 to
   * 2^53 - 1.
   */
  offer(id: number, sketch: Uint8Array, offset = 0): void {
    checkId(id);
    checkSketch(sketch.subarray(offset, offset + SKETCH_BYTES));
    const distance = this.#distance(viewOf(sketch), offset);
    if (distance <= this.#farthest) this.#keep(id, distance);
  }

  /**
   * Shows all sketches of a block; see {@link packSketch}.
   *
   * @throws RangeError when its length is no multiple of {@link RECORD_BYTES}.
   */
  scan(block: Uint8Array): void {
    if (block.byteLength % RECORD_BYTES !== 0) {
      throw new RangeError(
        `Cannot scan a block of sketches (records have ${RECORD_BYTES} bytes): ${block.byteLength} bytes`,
      );
    }
    const view = viewOf(block);
    for (let at = 0; at < block.byteLength; at += RECORD_BYTES) {
      const distance = this.#distance(view, at + 8);
      if (distance > this.#farthest) continue;
      this.#keep(view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32, distance);
    }
  }

  /** The nearest so far, the nearest first. */
  best(): readonly NearSketch[] {
    return [...this.#best];
  }

  #distance(view: DataView, at: number): number {
    const [first, second, third, fourth] = this.#words;
    return ones(first ^ view.getInt32(at, true)) + ones(second ^ view.getInt32(at + 4, true)) +
      ones(third ^ view.getInt32(at + 8, true)) + ones(fourth ^ view.getInt32(at + 12, true));
  }

  #keep(id: number, distance: number): void {
    const best = this.#best;
    let place = best.length;
    while (place > 0 && isNearer(id, distance, best[place - 1]!)) place--;
    if (place === this.#limit) return;
    best.splice(place, 0, { id, distance });
    if (best.length > this.#limit) best.pop();
    if (best.length === this.#limit) this.#farthest = best.at(-1)!.distance;
  }
}

function isNearer(id: number, distance: number, other: NearSketch): boolean {
  return distance < other.distance || (distance === other.distance && id < other.id);
}

/** Bits that are set: in pairs, in fours, in bytes, and the bytes' sum. */
function ones(word: number): number {
  const pairs = word - ((word >>> 1) & 0x55555555);
  const fours = (pairs & 0x33333333) + ((pairs >>> 2) & 0x33333333);
  return Math.imul((fours + (fours >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function checkSketch(sketch: Uint8Array): void {
  if (sketch.byteLength === SKETCH_BYTES) return;
  throw new RangeError(`Cannot use a sketch (it has ${SKETCH_BYTES} bytes): ${sketch.byteLength} bytes`);
}

function checkId(id: number): void {
  if (Number.isSafeInteger(id) && id >= 0) return;
  throw new RangeError(`Cannot use the id of a sketch (an integer from 0 to 2^53 - 1 is needed): ${id}`);
}
