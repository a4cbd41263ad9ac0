/**
 * Where the requests of a shard are in it, so that one is found without the others: the shard's digest is compared and its
 * text is read through once; after that, a request takes the frame or two in which it lies.
 *
 * @module
 */

import { bytesOfHex } from "../../runtime/hex.ts";
import { type NearestSketches, SKETCH_BYTES } from "../nearest.ts";
import { type PackTools, readShardName } from "./format.ts";
import { type Frame, readFrame } from "./frames.ts";
import { headOf } from "./line.ts";
import { blockTexts, checkShard, type PlacedShard } from "./pack_reader.ts";

/** Where a block is in the text. */
interface Span {
  readonly textAt: number;
  readonly bytes: number;
}

/** The text of a frame that may be remembered. */
export interface FrameMemory {
  get(name: string): Uint8Array | undefined;
  set(name: string, text: Uint8Array): unknown;
}

/** A shard that was read through. */
export class ShardIndex {
  readonly #tools: PackTools;
  readonly #shard: PlacedShard;
  readonly #frames: Frame[] = [];
  readonly #spans = new Map<string, Span>();
  readonly #places: { readonly key: string; readonly model: string }[] = [];
  #sketches = new Uint8Array(0);

  private constructor(tools: PackTools, shard: PlacedShard) {
    this.#tools = tools;
    this.#shard = shard;
  }

  /**
   * Reads a shard through.
   *
   * @throws FileError; CacheError `corrupt` when it is not as the manifest says.
   */
  static async load(tools: PackTools, shard: PlacedShard): Promise<ShardIndex> {
    await checkShard(tools, shard);
    const index = new ShardIndex(tools, shard);
    const sketches: Uint8Array[] = [];
    const blocks = blockTexts(tools, shard, (frame) => void index.#frames.push(frame));
    for await (const { textAt, text, first, key, model } of blocks) {
      index.#spans.set(placeOf(key, model), { textAt, bytes: text.byteLength });
      index.#places.push({ key, model });
      sketches.push(bytesOfHex(headOf(first).sketch));
    }
    index.#sketches = new Uint8Array(sketches.length * SKETCH_BYTES);
    for (const [at, sketch] of sketches.entries()) index.#sketches.set(sketch, at * SKETCH_BYTES);
    return index;
  }

  /** How many requests it has. */
  get size(): number {
    return this.#places.length;
  }

  /** The text of a request's block; `undefined` when there is none. */
  find(key: string, model: string, memory: FrameMemory): Uint8Array | undefined {
    const span = this.#spans.get(placeOf(key, model));
    if (span === undefined) return undefined;
    const { textAt, bytes } = span;
    const block = new Uint8Array(bytes);
    for (let at = this.#frameAt(textAt); at < this.#frames.length; at++) {
      const frame = this.#frames[at]!;
      if (frame.textAt >= textAt + bytes) break;
      const text = this.#read(frame, memory);
      const from = Math.max(textAt - frame.textAt, 0);
      const part = text.subarray(from, Math.min(text.byteLength, textAt + bytes - frame.textAt));
      block.set(part, frame.textAt + from - textAt);
    }
    return block;
  }

  /** Shows all sketches, those of other models than `model` left out; their ids begin with `firstId`. */
  offer(near: NearestSketches, firstId: number, model: string | undefined): void {
    for (const [at, place] of this.#places.entries()) {
      if (model === undefined || place.model === model) near.offer(firstId + at, this.#sketches, at * SKETCH_BYTES);
    }
  }

  /** Whose the sketch was that was shown with `firstId + at`. */
  place(at: number): { readonly key: string; readonly model: string } {
    return this.#places[at]!;
  }

  /** The frame in which a place in the text is. */
  #frameAt(textAt: number): number {
    let [low, high] = [0, this.#frames.length - 1];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.#frames[middle]!.textAt <= textAt) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #read(frame: Frame, memory: FrameMemory): Uint8Array {
    const { name, path } = this.#shard;
    const id = `${name}:${frame.at}`;
    let text = memory.get(id);
    if (text === undefined) {
      text = readFrame(this.#tools, path, readShardName(name)!.compression, frame);
      memory.set(id, text);
    }
    return text;
  }
}

function placeOf(key: string, model: string): string {
  return `${key} ${model}`;
}
