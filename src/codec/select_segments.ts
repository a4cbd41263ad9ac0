/**
 * What of many samples to put into a dictionary: the passages that come back in the most others. The idea, to prize a
 * passage by how often its short substrings occur and to prize nothing twice, is that of K. Liao, M. Petri, A. Moffat and
 * A. Wirth, "Effective Construction of Relative Lempel-Ziv Dictionaries", WWW 2016, https://doi.org/10.1145/2872427.2883042
 *
 * @module
 */

/** What a passage's worth is counted in: 8 bytes, shorter than most repetitions, longer than most coincidences. */
const GRAM = 8;
/**
 * Bytes of a passage. Shorter ones cut through what surrounds every answer, which is most of a small one: with 64 instead
 * of 256, answers of 500 bytes took 7 to 17 % more room, those of 2 KB 2 to 10 % (measured with the answers of
 * `bench/dictionaries.ts`). 512 gains nothing.
 */
const SEGMENT = 256;
/** Grams that a segment has. */
const WIDTH = SEGMENT - GRAM + 1;
/** How often the samples are gone through. The first best passages are then found wherever they are. */
const PASSES = 4;
/** A pass without anything left to find ends it all; so many do where each finds a little. */
const MOST_PASSES = 32;
/** 2^18 counters. Grams that share one by accident are prized a little too much; 2^20 made nothing better. */
const COUNTER_BITS = 18;
/** Bytes that are looked at in one step. */
const STEP = 16 * 1024;
const NONE = -1;

/** A passage, and what it was worth when it was chosen. */
interface Segment {
  readonly worth: number;
  readonly from: number;
  readonly to: number;
}

/**
 * At most `bytes` bytes of the samples' most repeated passages, the best last, where zstd reaches them at the least cost.
 * Fewer where not so much is repeated. The same samples give the same bytes.
 */
export function* selectSegments(samples: readonly Uint8Array[], bytes: number): Generator<undefined, Uint8Array> {
  const text = join(samples);
  const grams = new Int32Array(text.byteLength).fill(NONE);
  const worth = new Uint32Array(1 << COUNTER_BITS);
  yield* count(samples, text, grams, worth);
  const window = new Uint16Array(1 << COUNTER_BITS);
  const segments: Segment[] = [];
  const stretch = Math.max(SEGMENT, Math.ceil(text.byteLength * PASSES * SEGMENT / bytes));
  let left = bytes;
  for (let pass = 0; pass < MOST_PASSES && left > 0; pass++) {
    const before = left;
    for (let from = 0; from < text.byteLength && left > 0; from += stretch) {
      const best = yield* bestSegment(grams, worth, window, from, Math.min(from + stretch, text.byteLength));
      if (best === undefined) continue;
      const size = Math.min(left, best.to - best.from);
      segments.push({ ...best, from: best.to - size });
      left -= size;
    }
    if (left === before) break;
  }
  segments.sort((a, b) => a.worth - b.worth || b.from - a.from);
  return join(segments.map(({ from, to }) => text.subarray(from, to)));
}

/** Finds out what gram begins at each position, and in how many other samples each gram is. */
function* count(
  samples: readonly Uint8Array[],
  text: Uint8Array,
  grams: Int32Array,
  worth: Uint32Array,
): Generator<undefined, void> {
  const seenIn = new Int32Array(worth.length).fill(NONE);
  let from = 0;
  for (const [sample, { byteLength }] of samples.entries()) {
    const to = from + byteLength;
    // The eight bytes before `at`, as two words.
    let [low, high] = [0, 0];
    for (let at = from; at < to; at++) {
      low = (low >>> 8) | (high << 24);
      high = (high >>> 8) | (text[at]! << 24);
      if (at % STEP === 0) yield;
      const start = at - GRAM + 1;
      if (start < from) continue;
      const gram = grams[start] = hash(low, high);
      if (seenIn[gram] === sample) continue;
      // In one sample alone it is worth nothing.
      if (seenIn[gram] !== NONE) worth[gram]!++;
      seenIn[gram] = sample;
    }
    from = to;
  }
}

/** Takes the most valuable segment of a stretch; what is in it is worth nothing from then on. */
function* bestSegment(
  grams: Int32Array,
  worth: Uint32Array,
  window: Uint16Array,
  from: number,
  to: number,
): Generator<undefined, Segment | undefined> {
  let [sum, most, last] = [0, 0, NONE];
  for (let at = from; at < to; at++) {
    const entering = grams[at]!;
    // Twice in one segment counts once.
    if (entering !== NONE && window[entering]!++ === 0) sum += worth[entering]!;
    const leaving = at - WIDTH < from ? NONE : grams[at - WIDTH]!;
    if (leaving !== NONE && --window[leaving]! === 0) sum -= worth[leaving]!;
    if (sum > most) [most, last] = [sum, at];
    if (at % STEP === 0) yield;
  }
  for (let at = Math.max(from, to - WIDTH); at < to; at++) if (grams[at] !== NONE) window[grams[at]!] = 0;
  if (last === NONE) return undefined;
  let first = Math.max(from, last - WIDTH + 1);
  while (!(worth[grams[first]!]! > 0)) first++;
  for (let at = first; at <= last; at++) if (grams[at] !== NONE) worth[grams[at]!] = 0;
  return { worth: most, from: first, to: last + GRAM };
}

/** Mixes eight bytes into a counter's number; any mixing will do that uses all of them. */
function hash(low: number, high: number): number {
  const mixed = Math.imul(low ^ Math.imul(high, 0x85ebca6b), 0x9e3779b1);
  return Math.imul(mixed ^ (mixed >>> 15), 0xc2b2ae35) >>> (32 - COUNTER_BITS);
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.byteLength;
  }
  return joined;
}
