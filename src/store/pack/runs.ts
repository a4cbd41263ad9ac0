/**
 * Sorts any number of blocks with little memory: as many as may be held are sorted and written into a file, a run; runs
 * are merged. What is sorted in the end is read from them once or twice, and never all of it held.
 *
 * @module
 */

import { FAST } from "../../codec/codec.ts";
import type { Runtime } from "../../runtime/runtime.ts";
import { fileNameOf } from "../names.ts";
import { type Block, compareBlocks, mergeBlocks } from "./block.ts";
import type { PackTools } from "./format.ts";
import { framesOf } from "./frames.ts";
import { FrameWriter } from "./frame_writer.ts";
import { headOf } from "./line.ts";
import { blocksIn } from "./lines.ts";
import { merged } from "./merging.ts";

/** Bytes of blocks that are held. */
const HELD_BYTES = 16 * 1024 * 1024;
/** Runs that are merged at once: of each, a frame and a block are held. */
const TOGETHER = 32;

/** Blocks that are put in order. */
export class Runs {
  readonly #tools: PackTools;
  readonly #workplace: string;
  readonly #textBytes = new Map<string, number>();
  #held: Block[] = [];
  #heldBytes = 0;
  /** Files, and whose runs were merged into them: those of one level are about as long. */
  #runs: { readonly path: string; readonly level: number }[] = [];
  #made = 0;

  /** `workplace` is a folder that is there, for files that the caller removes in the end. */
  constructor(tools: PackTools, workplace: string) {
    this.#tools = tools;
    this.#workplace = workplace;
  }

  /** Bytes of text by folder, requests that came twice counted twice. */
  get textBytes(): ReadonlyMap<string, number> {
    return this.#textBytes;
  }

  /** Takes a block. */
  async add(block: Block): Promise<void> {
    this.#held.push(block);
    this.#heldBytes += block.text.byteLength;
    this.#textBytes.set(block.folder, (this.#textBytes.get(block.folder) ?? 0) + block.text.byteLength);
    if (this.#heldBytes > HELD_BYTES) await this.#spill();
  }

  /** All blocks that were added, in order, each request once. May be asked for again. */
  sorted(): AsyncIterable<Block> {
    const sources = [
      ...this.#runs.map(({ path }) => this.#read(path)),
      inOrder(this.#held, this.#tools.runtime.sha256),
    ];
    return merged(sources, this.#tools.runtime.sha256);
  }

  async #spill(): Promise<void> {
    const { sha256 } = this.#tools.runtime;
    let run = { path: await this.#write(inOrder(this.#held, sha256)), level: 0 };
    this.#held = [];
    this.#heldBytes = 0;
    for (;;) {
      const peers = this.#runs.filter(({ level }) => level === run.level);
      this.#runs.push(run);
      if (peers.length + 1 < TOGETHER) return;
      const together = [...peers, run];
      const sources = together.map(({ path }) => this.#read(path));
      run = { path: await this.#write(merged(sources, sha256)), level: run.level + 1 };
      this.#runs = this.#runs.filter((other) => !together.includes(other));
      for (const { path } of together) this.#tools.runtime.files.remove(path);
    }
  }

  async #write(blocks: AsyncIterable<Block>): Promise<string> {
    const path = `${this.#workplace}/run-${this.#made++}`;
    const writer = new FrameWriter(this.#tools, path, "zstd", FAST);
    try {
      for await (const { text } of blocks) await writer.add(text);
      writer.finish();
    } finally {
      writer.close();
    }
    return path;
  }

  async *#read(path: string): AsyncGenerator<Block> {
    const { sha256 } = this.#tools.runtime;
    const frames = framesOf(this.#tools, { path, compression: "zstd", mostText: Infinity });
    for await (const { first, text } of blocksIn(frames, path, (line) => headOf(line).samples)) {
      const { model, key, samples, answerBytes } = headOf(first);
      yield { folder: fileNameOf(model, sha256), key, model, samples, answerBytes, text };
    }
  }
}

/** In order, those of one request as one. */
async function* inOrder(blocks: readonly Block[], sha256: Runtime["sha256"]): AsyncGenerator<Block> {
  let last: Block | undefined;
  for (const block of blocks.toSorted(compareBlocks)) {
    if (last === undefined) last = block;
    else if (compareBlocks(last, block) === 0) last = mergeBlocks(last, block, sha256);
    else {
      yield last;
      last = block;
    }
  }
  if (last !== undefined) yield last;
}
