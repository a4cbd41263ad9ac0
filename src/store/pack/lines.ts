/**
 * Text that comes in parts, as blocks: the line of a request and those of its answers. No more than one block is held.
 *
 * @module
 */

import { broken } from "./failure.ts";
import { MOST_LINE_BYTES, MOST_SHARD_BYTES } from "./format.ts";

const LINE_FEED = 10;
const decoder = new TextDecoder();

/** A block's place in the text, and its text. */
export interface BlockText {
  readonly textAt: number;
  readonly text: Uint8Array;
  /** The first line, without its line feed, decoded as well as can be. */
  readonly first: string;
}

/** Parts of a text. */
interface TextPart {
  readonly text: Uint8Array;
}

/**
 * Cuts a text into blocks.
 *
 * @param samplesOf how many lines belong to the block that begins with this one.
 * @throws CacheError `corrupt` when a block is not whole, or larger than it may be; what `samplesOf` throws.
 */
export async function* blocksIn(
  parts: AsyncIterable<TextPart>,
  path: string,
  samplesOf: (first: string) => number,
): AsyncGenerator<BlockText> {
  let textAt = 0;
  let held: Uint8Array[] = [];
  let heldBytes = 0;
  let lineBytes = 0;
  let first: string | undefined;
  let linesLeft = 0;
  const whole = (): Uint8Array => {
    const text = concatenated(held, heldBytes);
    held = [];
    heldBytes = 0;
    return text;
  };
  for await (const { text } of parts) {
    for (let from = 0; from < text.byteLength;) {
      const feed = text.indexOf(LINE_FEED, from);
      const end = feed < 0 ? text.byteLength : feed + 1;
      held.push(text.subarray(from, end));
      heldBytes += end - from;
      lineBytes += end - from;
      from = end;
      if (lineBytes > MOST_LINE_BYTES) throw broken(path, `a line has more than ${MOST_LINE_BYTES} bytes`);
      if (heldBytes > MOST_SHARD_BYTES) {
        throw broken(path, `a request has more than ${MOST_SHARD_BYTES} bytes of answers`);
      }
      if (feed < 0) break;
      lineBytes = 0;
      if (first === undefined) {
        const line = whole();
        first = decoder.decode(line.subarray(0, -1));
        linesLeft = samplesOf(first);
        held = [line];
        heldBytes = line.byteLength;
      } else {
        linesLeft--;
      }
      if (linesLeft > 0) continue;
      const block = whole();
      yield { textAt, text: block, first };
      textAt += block.byteLength;
      first = undefined;
    }
  }
  if (heldBytes > 0) throw broken(path, "its last line is not whole");
}

function concatenated(parts: readonly Uint8Array[], bytes: number): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const all = new Uint8Array(bytes);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.byteLength;
  }
  return all;
}
