/**
 * Blocks from several places that are each in order, as one sequence in order, each request once.
 *
 * @module
 */

import type { Runtime } from "../../runtime/runtime.ts";
import type { Block } from "./block.ts";
import { compareBlocks, mergeBlocks } from "./block.ts";

/** Merges sequences; one block of each is held. What is still open when the receiver stops is closed. */
export async function* merged(
  sources: readonly AsyncIterable<Block>[],
  sha256: Runtime["sha256"],
): AsyncGenerator<Block> {
  const iterators = sources.map((source) => source[Symbol.asyncIterator]());
  try {
    const heads = await Promise.all(
      iterators.map(async (iterator) => (await iterator.next()).value as Block | undefined),
    );
    for (;;) {
      let least: Block | undefined;
      for (const head of heads) {
        if (head !== undefined && (least === undefined || compareBlocks(head, least) < 0)) least = head;
      }
      if (least === undefined) return;
      let block: Block | undefined;
      for (const [index, head] of heads.entries()) {
        if (head === undefined || compareBlocks(head, least) !== 0) continue;
        block = block === undefined ? head : mergeBlocks(block, head, sha256);
        heads[index] = (await iterators[index]!.next()).value as Block | undefined;
      }
      yield block!;
    }
  } finally {
    for (const iterator of iterators) await iterator.return?.();
  }
}
