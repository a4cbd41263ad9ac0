/**
 * Writes text into a file, a frame at a time, and knows the file's digest when it is done.
 *
 * @module
 */

import { type CompressOptions, THOROUGH } from "../../codec/codec.ts";
import { hexOf } from "../../runtime/hex.ts";
import type { OpenFile, Sha256 } from "../../runtime/runtime.ts";
import { nextTurn } from "../file/turns.ts";
import { type Compression, FRAME_BYTES, type PackTools } from "./format.ts";

/** What was written. */
export interface WrittenFile {
  readonly bytes: number;
  readonly textBytes: number;
  readonly sha256: string;
}

/** A file on its way. Methods throw FileError. */
export class FrameWriter {
  readonly #tools: PackTools;
  readonly #compression: Compression;
  readonly #level: NonNullable<CompressOptions["level"]>;
  readonly #file: OpenFile;
  readonly #digest: Sha256;
  readonly #text = new Uint8Array(FRAME_BYTES);
  #held = 0;
  #bytes = 0;
  #textBytes = 0;

  /** Replaces what is at `path`. Shards have the level by default, and no other. */
  constructor(
    tools: PackTools,
    path: string,
    compression: Compression,
    level: NonNullable<CompressOptions["level"]> = THOROUGH,
  ) {
    this.#tools = tools;
    this.#level = level;
    this.#compression = compression;
    this.#file = tools.runtime.files.open(path, "create");
    this.#file.truncate(0);
    this.#digest = tools.runtime.sha256InParts();
  }

  /** Adds text; other work has its turn after each frame. */
  async add(text: Uint8Array): Promise<void> {
    for (let from = 0; from < text.byteLength;) {
      const part = text.subarray(from, from + FRAME_BYTES - this.#held);
      this.#text.set(part, this.#held);
      this.#held += part.byteLength;
      from += part.byteLength;
      if (this.#held < FRAME_BYTES) continue;
      this.#writeFrame();
      await nextTurn(this.#tools.runtime.clock);
    }
  }

  /** Writes what is left, and closes the file. */
  finish(): WrittenFile {
    try {
      if (this.#held > 0) this.#writeFrame();
    } finally {
      this.close();
    }
    return { bytes: this.#bytes, textBytes: this.#textBytes, sha256: hexOf(this.#digest.digest()) };
  }

  /** Closes the file as it is. */
  close(): void {
    this.#file.close();
  }

  #writeFrame(): void {
    const text = this.#text.subarray(0, this.#held);
    const frame = this.#compression === "zstd" ? this.#tools.zstd.compress(text, { level: this.#level }) : text;
    this.#file.write(frame, this.#bytes);
    this.#digest.update(frame);
    this.#bytes += frame.byteLength;
    this.#textBytes += text.byteLength;
    this.#held = 0;
  }
}
