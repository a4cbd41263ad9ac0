/**
 * Modes, and the reasons to go round the cache: what is not to be read is not read, whatever else is said.
 *
 * @module
 */

import type { CacheStatus } from "../../cache/call_options.ts";
import type { Mode } from "../../cache/mode.ts";
import { isTypeError, rejects, same } from "../assertions.ts";
import { answerOf, ask, never, saidBy } from "./provider.ts";
import { type CacheSuite, type Desk, isCacheError } from "./suite.ts";

/** Registers the tests. */
export function testModes({ describe, check }: CacheSuite): void {
  describe("the mode", () => {
    check("read-only serves what is there, and stores nothing", async (desk) => {
      await stored(desk);
      const options = { mode: "read-only" } as const;
      same(saidBy(await desk.cache.wrap(ask("cats"), never, options)), ["stored"]);
      await desk.cache.wrap(ask("dogs"), desk.provider.answer, options);
      await desk.cache.put(ask("ants"), answerOf(["x"]), options);
      same(await desk.cache.getMany([ask("dogs"), ask("ants")]), [undefined, undefined]);
    });

    check("write-only buys each time, and adds to what is there", async (desk) => {
      await stored(desk);
      const { cache, provider } = desk;
      same(saidBy(await cache.wrap(ask("cats"), provider.answer, { mode: "write-only" })), ["text 1"]);
      same(saidBy(await cache.wrap(ask("cats", { n: 2 }), never)), ["stored", "text 1"]);
    });

    check("refresh buys, and puts it in the place of what is there", async (desk) => {
      await stored(desk);
      const { cache, provider } = desk;
      same(saidBy(await cache.wrap(ask("cats"), provider.answer, { mode: "refresh" })), ["text 1"]);
      same(saidBy(await cache.wrap(ask("cats"), never)), ["text 1"]);
      same(await cache.get(ask("cats", { n: 2 })), undefined);
    });

    check("replay serves what is there, and calls nobody else", async (desk) => {
      await stored(desk);
      const { cache } = desk;
      const options = { mode: "replay" } as const;
      const isMiss = isCacheError("replay_miss");
      same(saidBy(await cache.wrap(ask("cats"), never, options)), ["stored"]);
      await rejects(() => cache.wrap(ask("dogs"), never, options), isMiss);
      await rejects(() => cache.wrap(ask("cats", { n: 2 }), never, options), isMiss);
      await rejects(() => cache.get(ask("dogs"), options), isMiss);
      await rejects(() => cache.getMany([ask("cats"), ask("dogs")], options), isMiss);
      await rejects(() => cache.wrapMany([ask("cats"), ask("dogs")], never, options), isMiss);
      await rejects(() => cache.wrapSamples(ask("dogs"), 1, never, options), isMiss);
      await rejects(() => cache.wrapStream(ask("dogs", { stream: true }), never, options), isMiss);
    });

    check("off neither reads nor stores", async (desk) => {
      await stored(desk);
      const { cache, provider } = desk;
      const options = { mode: "off" } as const;
      same(await cache.get(ask("cats"), options), undefined);
      same(saidBy(await cache.wrap(ask("cats"), provider.answer, options)), ["text 1"]);
      same(saidBy(await cache.wrap(ask("cats"), provider.answer, options)), ["text 2"]);
      await cache.put(ask("cats"), answerOf(["x"]), options);
      same(saidBy(await cache.wrap(ask("cats"), never)), ["stored"]);
    });

    check("has to be one", async ({ cache }) => {
      const options = { mode: "readonly" as Mode };
      await rejects(() => cache.wrap(ask("cats"), never, options), isTypeError);
      await rejects(() => cache.get(ask("cats"), options), isTypeError);
    });
  });

  describe("a reason to go round the cache", () => {
    for (const mode of ["read-write", "read-only", "write-only", "refresh", "off"] as const) {
      check(`beats the mode ${mode}`, async (desk) => {
        await stored(desk);
        const { cache, provider } = desk;
        const status: CacheStatus = {};
        const options = { mode, bypass: "the caller says so", status };
        same(saidBy(await cache.wrap(ask("cats"), provider.answer, options)), ["text 1"]);
        same([status.outcome, status.stored], ["bypass", false]);
        same(await cache.get(ask("cats"), options), undefined);
        same(saidBy(await cache.wrapEntry(ask("cats"), provider.answer, options).then((entry) => entry.json())), [
          "text 2",
        ]);
        same(saidBy(await cache.wrap(ask("cats"), never)), ["stored"], "what was there is untouched");
        same(await cache.get(ask("cats", { n: 2 })), undefined, "and nothing was added");
      });
    }

    check("does not make a replay call", async (desk) => {
      await stored(desk);
      const options = { mode: "replay", bypass: "the caller says so" } as const;
      await rejects(() => desk.cache.wrap(ask("cats"), never, options), isCacheError("replay_miss"));
    });

    check("is that the answer is a stream, where a value is wanted", async ({ cache, provider }) => {
      await cache.wrap(ask("cats", { stream: true }), provider.answer);
      same(await cache.get(ask("cats")), undefined);
    });
  });
}

async function stored({ cache }: Desk): Promise<void> {
  await cache.put(ask("cats"), answerOf(["stored"]));
}
