/** PrefixCache, SharedCache and Sequence: which prompts are kept, what is read of the next one, who lets go of what. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Logits } from "../../src/model/generation/logits.ts";
import { BLOCK_TOKENS, PrefixCache, SharedCache } from "../../src/model/generation/prefix_cache.ts";
import { WholeRow } from "../../src/model/generation/row.ts";
import { type Reader, Sequence } from "../../src/model/generation/sequence.ts";
import type { KeyValueCache, StepOptions } from "../../src/model/graph/session.ts";

/** Bytes that each token takes. */
const BYTES = 100;

/** A session that remembers what it was asked, and says after which tokens. Its keys and values are the tokens. */
class RecordedSession {
  supportsCache = true;
  /** The tokens of each run, after those of its cache. */
  readonly runs: (readonly number[])[] = [];
  /** The caches that are in memory. */
  readonly held = new Set<KeyValueCache>();
  /** What happens in a run. */
  during: () => void = () => {};

  step(
    ids: readonly number[],
    past: KeyValueCache | undefined,
    _adapter: unknown,
    { signal, keepPast = false }: StepOptions = {},
  ): Promise<{ logits: Logits; cache: KeyValueCache }> {
    try {
      signal?.throwIfAborted();
    } catch (error) {
      return Promise.reject(error);
    }
    if (past !== undefined) assert.ok(this.held.has(past), "a cache is used after its end");
    this.runs.push(ids);
    this.during();
    const cache = this.#make([...past?.ids ?? [], ...ids]);
    if (past !== undefined && !keepPast) this.release(past);
    return Promise.resolve({ logits: new Logits([new WholeRow(Float32Array.of(...cache.ids.slice(-2)))]), cache });
  }

  trim(cache: KeyValueCache, length: number): Promise<KeyValueCache> {
    assert.ok(this.held.has(cache));
    return Promise.resolve(this.#make(cache.ids.slice(0, length)));
  }

  release(cache: KeyValueCache): void {
    assert.ok(this.held.delete(cache), "a cache is let go of twice");
  }

  #make(ids: readonly number[]): KeyValueCache {
    const cache = { length: ids.length, bytes: ids.length * BYTES, feeds: {}, ids };
    this.held.add(cache);
    return cache;
  }
}

/** Token ids from `from`. */
const ids = (length: number, from = 0): number[] => Array.from({ length }, (_, index) => from + index);

/** What a sequence does: reads a prompt, goes on from it, ends. Gives the tokens of each run and the logits after. */
async function answer(
  reader: Omit<Reader, "session" | "adapter"> & { readonly session: RecordedSession },
  prompt: readonly number[],
  following: readonly number[] = [],
): Promise<{ readonly runs: number[]; readonly next: number[] }> {
  const { session } = reader;
  const before = session.runs.length;
  const sequence = new Sequence({ ...reader, adapter: {} });
  let next = await sequence.read(prompt, undefined);
  const afterPrompt = [...next.whole()];
  assert.equal(sequence.length, prompt.length);
  for (const id of following) next = await sequence.append([id], undefined);
  sequence.release();
  return { runs: session.runs.slice(before).map(({ length }) => length), next: afterPrompt };
}

function reader(maxBytes = 1e9) {
  const session = new RecordedSession();
  const prefixes = new PrefixCache(maxBytes);
  return { session, prefixes, view: "base" };
}

describe("Sequence", () => {
  it("reads a prompt in blocks, the last one shorter, and then token by token", async () => {
    const model = reader();
    assert.deepEqual((await answer(model, ids(300), [7, 8])).runs, [BLOCK_TOKENS, BLOCK_TOKENS, 44, 1, 1]);
    assert.deepEqual(model.session.runs[1], ids(BLOCK_TOKENS, BLOCK_TOKENS));
    assert.deepEqual((await answer(model, ids(256, 1000))).runs, [BLOCK_TOKENS, BLOCK_TOKENS]);
    assert.deepEqual((await answer(model, [5])).runs, [1]);
  });

  it("reads a prompt that it has read before not at all, and knows what follows", async () => {
    const model = reader();
    const first = await answer(model, ids(200), [1, 2]);
    assert.deepEqual(await answer(model, ids(200), [3]), { runs: [1], next: first.next });
    assert.deepEqual(await answer(model, ids(200)), { runs: [], next: first.next });
  });

  it("reads one that begins like another from the last whole block that they share", async () => {
    const model = reader();
    await answer(model, ids(300));
    assert.deepEqual((await answer(model, [...ids(270), 9, 9])).runs, [16]);
    assert.deepEqual((await answer(model, [...ids(130), 9])).runs, [3]);
    assert.deepEqual((await answer(model, [...ids(127), 9, 9])).runs, [BLOCK_TOKENS, 1]);
    assert.deepEqual((await answer(model, ids(299))).runs, [43]);
  });

  it("leaves at least one token to be read of a prompt that is the beginning of another", async () => {
    const model = reader();
    await answer(model, ids(300));
    assert.deepEqual((await answer(model, ids(256))).runs, [BLOCK_TOKENS]);
  });

  it("shares nothing between views", async () => {
    const model = reader();
    await answer(model, ids(200));
    assert.deepEqual((await answer({ ...model, view: "adapter" }, ids(200))).runs, [BLOCK_TOKENS, 72]);
  });

  it("reads at once, and keeps nothing, where the graph has no cache to go on from", async () => {
    const model = reader();
    model.session.supportsCache = false;
    assert.deepEqual((await answer(model, ids(300), [1])).runs, [300, 1]);
    assert.deepEqual((await answer(model, ids(300))).runs, [300]);
    assert.equal(model.prefixes.bytes, 0);
  });

  it("ends with the block in which it is given up", async () => {
    const model = reader();
    const controller = new AbortController();
    model.session.during = () => {
      if (model.session.runs.length === 2) controller.abort(new Error("client went away"));
    };
    const sequence = new Sequence({ ...model, adapter: {} });
    await assert.rejects(sequence.read(ids(1000), controller.signal), /client went away/);
    sequence.release();
    assert.equal(model.session.runs.length, 2);
    assert.equal(model.session.held.size, 0);
  });

  it("keeps what another one still uses when its prompt is dropped in between", async () => {
    const model = reader();
    await answer(model, ids(200));
    const sequence = new Sequence({ ...model, adapter: {} });
    await sequence.read(ids(200), undefined);
    model.prefixes.drop(() => true);
    assert.equal(model.session.held.size, 1);
    await sequence.append([1], undefined);
    sequence.release();
    assert.equal(model.session.held.size, 0);
  });
});

describe("PrefixCache", () => {
  const BYTES_OF_200 = 200 * (BYTES + 8) + 8;

  it("counts the bytes of the prompts that it keeps", async () => {
    const model = reader();
    await answer(model, ids(200));
    assert.equal(model.prefixes.bytes, BYTES_OF_200);
    assert.equal(model.session.held.size, 1);
  });

  it("lets go of the prompt used longest ago when there is no room", async () => {
    const model = reader(2.5 * BYTES_OF_200);
    await answer(model, ids(200));
    await answer(model, ids(200, 1000));
    await answer(model, ids(200));
    await answer(model, ids(200, 2000));
    assert.equal(model.prefixes.bytes, 2 * BYTES_OF_200);
    assert.equal(model.session.held.size, 2);
    assert.deepEqual((await answer(model, ids(200))).runs, []);
    assert.deepEqual((await answer(model, ids(200, 1000))).runs, [BLOCK_TOKENS, 72]);
  });

  it("does not keep a prompt that is larger than all the room, nor make room for it", async () => {
    const model = reader(BYTES_OF_200);
    await answer(model, ids(200));
    await answer(model, ids(201, 1000), [1]);
    assert.deepEqual((await answer(model, ids(200))).runs, []);
    assert.equal(model.session.held.size, 1);
  });

  it("keeps a conversation once: each turn takes the place of the one before it", async () => {
    const model = reader();
    for (const length of [100, 200, 300]) await answer(model, ids(length));
    assert.equal(model.session.held.size, 1);
    assert.equal(model.prefixes.bytes, 300 * (BYTES + 8) + 8);
  });

  it("drops the prompts of the views that are named", async () => {
    const model = reader();
    await answer(model, ids(200));
    await answer({ ...model, view: "adapter" }, ids(200));
    model.prefixes.drop((view) => view === "adapter");
    assert.deepEqual((await answer(model, ids(200))).runs, []);
    assert.deepEqual((await answer({ ...model, view: "adapter" }, ids(200))).runs, [BLOCK_TOKENS, 72]);
  });
});

describe("SharedCache", () => {
  it("gives its memory back when the last user has let go, and once", async () => {
    const session = new RecordedSession();
    const { cache } = await session.step([1], undefined, {});
    const shared = new SharedCache(session, cache);
    assert.equal(shared.isShared, false);
    assert.equal(shared.retain().isShared, true);
    shared.release();
    assert.equal(session.held.size, 1);
    shared.release();
    assert.equal(session.held.size, 0);
  });
});
