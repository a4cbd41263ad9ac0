/**
 * The parts of a stream on their way through the cache, which takes JSON. The one whose call it is also gets what is not
 * stored: raw chunks, and errors as they were thrown.
 *
 * @module
 */

import type { JsonObject } from "../../cache/json.ts";
import { fromJson, toJson } from "./values.ts";

/** A part of a stream: whatever it is, it has a type. */
interface Part {
  readonly type: string;
}

/** What one call's own stream brings. */
export class OwnParts {
  /** The parts for which a chunk stands, where it does not say it itself. */
  readonly #originals = new WeakMap<JsonObject, readonly unknown[]>();
  #raw: Part[] = [];

  /** The stream as the cache takes it. */
  async *chunksOf(stream: ReadableStream<Part>): AsyncGenerator<JsonObject> {
    const reader = stream.getReader();
    let isOver = false;
    try {
      for (;;) {
        const { done, value: part } = await reader.read();
        isOver = done;
        if (done) return;
        if (part.type === "raw") this.#raw.push(part);
        else yield this.#chunkOf(part);
      }
    } finally {
      if (!isOver) await reader.cancel();
    }
  }

  /** The stream of parts that chunks stand for. */
  partsOf(chunks: AsyncIterable<JsonObject>): ReadableStream<unknown> {
    const items = chunks[Symbol.asyncIterator]();
    return new ReadableStream({
      pull: async (controller) => {
        const { done, value } = await items.next();
        const parts = done ? this.#takeRaw() : this.#originals.get(value) ?? [fromJson(value)];
        for (const part of parts) controller.enqueue(part);
        if (done) controller.close();
      },
      async cancel() {
        await items.return?.();
      },
    }, { highWaterMark: 0 });
  }

  #chunkOf(part: Part): JsonObject {
    const raw = this.#takeRaw();
    const chunk = chunkOf(part);
    if (chunk.type === "error") this.#originals.set(chunk, [...raw, part]);
    else if (raw.length > 0) this.#originals.set(chunk, [...raw, fromJson(chunk)]);
    return chunk;
  }

  #takeRaw(): Part[] {
    const raw = this.#raw;
    this.#raw = [];
    return raw;
  }
}

/** A part as JSON. What cannot be written so cannot be passed on to others, and must not be stored without them. */
function chunkOf(part: Part): JsonObject {
  try {
    return toJson(part) as JsonObject;
  } catch (error) {
    return { type: "error", error: `Cannot pass a part of a stream on (${part.type}): ${(error as Error).message}` };
  }
}
