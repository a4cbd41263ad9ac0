/** One stream and several readers: who gets what, who waits for whom, and what becomes of the source. */

import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import { describe, it } from "node:test";
import { Broadcast } from "../../../src/cache/stream/broadcast.ts";
import { seededRandom } from "../../../src/model/generation/random.ts";
import { CacheError } from "../../../src/store/error.ts";
import { gate } from "../../support/gate.ts";

/** Counts from 1 to `last`, and how often it was asked; then ends or throws. */
class Source implements AsyncIterable<number> {
  asked = 0;
  wasReturned = false;
  readonly #last: number;
  readonly #error: Error | undefined;

  constructor(last: number, error?: Error) {
    this.#last = last;
    this.#error = error;
  }

  [Symbol.asyncIterator](): AsyncIterator<number> {
    return {
      next: async () => {
        const value = ++this.asked;
        await setImmediate();
        if (value <= this.#last) return { done: false, value };
        if (this.#error) throw this.#error;
        return { done: true, value: undefined };
      },
      return: () => {
        this.wasReturned = true;
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  }
}

const THREE = [1, 2, 3];

describe("Broadcast", () => {
  it("reads its source once for all readers", async () => {
    const source = new Source(3);
    const broadcast = new Broadcast(source);
    const readers = [broadcast.join()!, broadcast.join()!, broadcast.join()!];
    assert.deepEqual(await Promise.all(readers.map((reader) => Array.fromAsync(reader))), [THREE, THREE, THREE]);
    assert.equal(source.asked, 4);
    assert.deepEqual(await broadcast.finished, { items: THREE, outcome: "complete" });
    assert.equal(source.wasReturned, false);
  });

  it("asks for nothing before a reader does, and for nothing ahead of the fastest", async () => {
    const source = new Source(3);
    const broadcast = new Broadcast(source);
    const fast = broadcast.join()!;
    await setImmediate();
    assert.equal(source.asked, 0);
    await fast.next();
    await fast.next();
    await setImmediate();
    assert.equal(source.asked, 2);
  });

  it("gives who comes late everything from the first item on", async () => {
    const broadcast = new Broadcast(new Source(3));
    const first = broadcast.join()!;
    await first.next();
    await first.next();
    const late = broadcast.join()!;
    assert.deepEqual(await Array.fromAsync(late), THREE);
    assert.deepEqual(await first.next(), { done: false, value: 3 });
    assert.deepEqual(await first.next(), { done: true, value: undefined });
    assert.deepEqual(await Array.fromAsync(broadcast.join()!), THREE);
  });

  it("does not wait for a reader that stands still", async () => {
    const broadcast = new Broadcast(new Source(3));
    const still = broadcast.join()!;
    await still.next();
    assert.deepEqual(await Array.fromAsync(broadcast.join()!), THREE);
    assert.deepEqual(await Array.fromAsync(still), [2, 3]);
  });

  it("answers calls that do not wait for each other in their order", async () => {
    const reader = new Broadcast(new Source(3)).join()!;
    const results = await Promise.all([reader.next(), reader.next(), reader.next(), reader.next(), reader.next()]);
    assert.deepEqual(results.map(({ value }) => value), [1, 2, 3, undefined, undefined]);
    assert.deepEqual(results.map(({ done }) => done), [false, false, false, true, true]);
  });

  it("goes on for the others when a reader leaves", async () => {
    const source = new Source(3);
    const broadcast = new Broadcast(source);
    const stays = broadcast.join()!;
    for await (const value of broadcast.join()!) if (value === 2) break;
    assert.equal(source.wasReturned, false);
    assert.deepEqual(await Array.fromAsync(stays), THREE);
    assert.equal((await broadcast.finished).outcome, "complete");
  });

  it("goes on for the others when the reader that asked leaves meanwhile", async () => {
    const broadcast = new Broadcast(new Source(1));
    const leaves = broadcast.join()!;
    const stays = broadcast.join()!;
    const asked = leaves.next();
    await leaves.return!();
    assert.deepEqual(await asked, { done: true, value: undefined });
    assert.deepEqual(await Array.fromAsync(stays), [1]);
  });

  it("cancels its source when the last reader has left", async () => {
    const source = new Source(3);
    const controller = new AbortController();
    const broadcast = new Broadcast(source, { controller });
    const readers = [broadcast.join()!, broadcast.join()!];
    await readers[0]!.next();
    await readers[0]!.return!();
    await readers[0]!.return!();
    assert.equal(source.wasReturned, false);
    await readers[1]!.return!();
    assert.equal(source.wasReturned, true);
    assert.equal(controller.signal.aborted, true);
    assert.deepEqual(await broadcast.finished, { items: [1], outcome: "abandoned" });
  });

  it("lets nobody join when it was abandoned", async () => {
    const broadcast = new Broadcast(new Source(3));
    await broadcast.join()!.return!();
    assert.equal(broadcast.join(), undefined);
  });

  it("is abandoned at once though its source does not answer", async () => {
    const door = gate();
    let wasClosed = false;
    const waiting = (async function* () {
      try {
        await door.pass();
        yield 1;
      } finally {
        wasClosed = true;
      }
    })();
    const broadcast = new Broadcast(waiting);
    const reader = broadcast.join()!;
    const asked = reader.next();
    await door.reached;
    await reader.return!();
    assert.deepEqual(await asked, { done: true, value: undefined });
    assert.deepEqual(await broadcast.finished, { items: [], outcome: "abandoned" });
    door.open();
    await setImmediate();
    assert.equal(wasClosed, true);
    assert.deepEqual((await broadcast.finished).items, []);
  });

  it("does not mind how a source ends that it has cancelled", async () => {
    const source: AsyncIterable<number> = {
      [Symbol.asyncIterator]: () => ({
        next: () => Promise.resolve({ done: false, value: 1 }),
        return: () => {
          throw new Error("cannot be cancelled");
        },
      }),
    };
    const broadcast = new Broadcast(source);
    for await (const _ of broadcast.join()!) break;
    assert.deepEqual(await broadcast.finished, { items: [1], outcome: "abandoned" });
  });

  it("throws the source's error at every reader, behind the items before it", async () => {
    const failure = new Error("no credit");
    const broadcast = new Broadcast(new Source(2, failure));
    const read = async (): Promise<[number[], unknown]> => {
      const got: number[] = [];
      try {
        for await (const value of broadcast.join()!) got.push(value);
      } catch (error) {
        return [got, error];
      }
      return [got, undefined];
    };
    const early = [read(), read()];
    assert.deepEqual(await Promise.all(early), [[[1, 2], failure], [[1, 2], failure]]);
    assert.deepEqual(await read(), [[1, 2], failure]);
    assert.deepEqual(await broadcast.finished, { items: [1, 2], outcome: "failed", error: failure });
  });

  it("throws nothing at a reader that has left", async () => {
    const broadcast = new Broadcast(new Source(0, new Error("no credit")));
    const leaves = broadcast.join()!;
    const stays = broadcast.join()!;
    const asked = leaves.next();
    await leaves.return!();
    await assert.rejects(stays.next(), /no credit/);
    assert.equal((await asked).done, true);
  });

  it("stays complete when readers leave after the end", async () => {
    const broadcast = new Broadcast(new Source(3));
    const still = broadcast.join()!;
    await Array.fromAsync(broadcast.join()!);
    await still.return!();
    assert.equal((await broadcast.finished).outcome, "complete");
    assert.deepEqual(await Array.fromAsync(broadcast.join()!), THREE);
  });

  it("fails for everybody once it would have to keep too much", async () => {
    const source = new Source(100);
    const controller = new AbortController();
    const broadcast = new Broadcast(source, { sizeOf: (value) => value, maxSize: 6, controller });
    const got: number[] = [];
    await assert.rejects(
      async () => {
        for await (const value of broadcast.join()!) got.push(value);
      },
      (error) =>
        error instanceof CacheError && error.code === "unavailable" && /6 at most\): 10 came/.test(error.message),
    );
    assert.deepEqual(got, THREE);
    assert.equal((await broadcast.finished).outcome, "failed");
    assert.equal(source.wasReturned && controller.signal.aborted, true);
  });

  it("gives every reader every item in order, whatever the order of events", async () => {
    for (let seed = 0; seed < 200; seed++) {
      const random = seededRandom(seed);
      const items = Math.floor(random() * 8);
      const broadcast = new Broadcast(new Source(items));
      const expected = Array.from({ length: items }, (_, at) => at + 1);
      let sawEnd = false;
      const read = async (): Promise<void> => {
        while (random() < 0.5) await setImmediate();
        const reader = broadcast.join();
        const stopAt = random() < 0.4 ? Math.floor(random() * 4) : Infinity;
        const got: number[] = [];
        for await (const value of reader ?? []) {
          while (random() < 0.3) await setImmediate();
          got.push(value);
          if (got.length > stopAt) break;
        }
        sawEnd ||= reader !== undefined && got.length <= stopAt;
        assert.deepEqual(got, reader ? expected.slice(0, Math.min(items, stopAt + 1)) : []);
      };
      await Promise.all(Array.from({ length: 5 }, read));
      const { items: kept, outcome } = await broadcast.finished;
      assert.deepEqual(kept, expected.slice(0, kept.length));
      assert.equal(outcome, sawEnd ? "complete" : "abandoned");
    }
  });
});
