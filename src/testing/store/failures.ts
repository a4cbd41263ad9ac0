/**
 * `failures`: what failed is counted and remembered.
 *
 * @module
 */

import { isRangeError, rejects, same } from "../assertions.ts";
import type { StoreSuite } from "./suite.ts";
import { keyOf, MODEL, noise } from "./values.ts";

const encoder = new TextEncoder();

/** Registers the tests. */
export function testFailures({ describe, check }: StoreSuite): void {
  describe("failures", () => {
    const error = encoder.encode('{"status":400,"message":"größe"}');

    check("that never happened are undefined", async ({ store }) => {
      same(await store.failures!.last(MODEL, keyOf(1)), undefined);
    });

    check("are counted, and the last one is kept", async ({ store }) => {
      const failures = store.failures!;
      await failures.record(MODEL, keyOf(1), { last: 1000, expires: 2000, error: encoder.encode("{}") });
      same(await failures.last(MODEL, keyOf(1)), {
        count: 1,
        last: 1000,
        expires: 2000,
        error: encoder.encode("{}"),
      });
      await failures.record(MODEL, keyOf(1), { last: 3000, expires: null, error });
      same(await failures.last(MODEL, keyOf(1)), { count: 2, last: 3000, expires: null, error });
    });

    check("at the same time are all counted", async ({ store }) => {
      const failures = store.failures!;
      await Promise.all(
        Array.from({ length: 20 }, () => failures.record(MODEL, keyOf(1), { last: 1, expires: null, error })),
      );
      same((await failures.last(MODEL, keyOf(1)))!.count, 20);
    });

    check("are apart by key and by model", async ({ store }) => {
      await store.failures!.record(MODEL, keyOf(1), { last: 1, expires: null, error });
      same(await store.failures!.last(MODEL, keyOf(2)), undefined);
      same(await store.failures!.last("another", keyOf(1)), undefined);
    });

    check("are the caller's to change, before and after", async ({ store }) => {
      const [mine, key] = [error.slice(), keyOf(1)];
      const recorded = store.failures!.record(MODEL, key, { last: 1, expires: null, error: mine });
      mine.fill(0);
      key.fill(0);
      await recorded;
      (await store.failures!.last(MODEL, keyOf(1)))!.error.fill(0);
      same((await store.failures!.last(MODEL, keyOf(1)))!.error, error);
    });

    check("with long errors are kept up to 16 KiB, and refused beyond", async ({ store }) => {
      const long = (bytes: number) => ({ last: 1, expires: null, error: noise(bytes) });
      await store.failures!.record(MODEL, keyOf(1), long(16 * 1024));
      same((await store.failures!.last(MODEL, keyOf(1)))!.error.length, 16 * 1024);
      await rejects(
        async () => await store.failures!.record(MODEL, keyOf(2), long(16 * 1024 + 1)),
        isRangeError,
      );
    });

    check("go with the answers of their request, and without them where all goes", async (shelf) => {
      const failures = shelf.store.failures!;
      for (const number of [1, 2]) await failures.record(MODEL, keyOf(number), { last: 1, expires: null, error });
      await shelf.put(keyOf(1), [shelf.entry("a")], "append", MODEL, { namespace: "a" });
      await shelf.store.remove({ namespace: "a" });
      same(await failures.last(MODEL, keyOf(1)), undefined);
      same((await failures.last(MODEL, keyOf(2)))!.count, 1);
      await shelf.store.remove({});
      same(await failures.last(MODEL, keyOf(2)), undefined);
    });

    check("are no entries", async (shelf) => {
      await shelf.store.failures!.record(MODEL, keyOf(1), { last: 1, expires: null, error });
      same((await shelf.look(keyOf(1))).bodies, []);
      same((await shelf.store.size()).entries, 0);
    });
  });
}
