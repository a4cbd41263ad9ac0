/**
 * What breaks off: nothing half is stored, and nothing half is served.
 *
 * @module
 */

import { rejects, same } from "../assertions.ts";
import { eventText, piecesOf, sourceOf, STREAMED, textOf, wordChunks } from "./chunks.ts";
import { ask, never } from "./provider.ts";
import { type CacheSuite, type Desk, soon, turn } from "./suite.ts";

const CHUNKS = wordChunks("It", " will", " rain");
/** Everything before the chunk that says why the answer ended. */
const CUTS = Array.from({ length: CHUNKS.length - 2 }, (_, cut) => cut);

/** Registers the tests. */
export function testCuts({ describe, check }: CacheSuite): void {
  describe("what breaks off", () => {
    for (const cut of CUTS) {
      check(`leaves nothing: a reader who stops after chunk ${cut}`, async (desk) => {
        const stream = await desk.cache.wrapStream(STREAMED, () => Promise.resolve(sourceOf(CHUNKS)));
        const reader = stream[Symbol.asyncIterator]();
        for (let read = 0; read < cut; read++) await reader.next();
        await reader.return!();
        await leftNothing(desk);
      });

      check(`leaves nothing: a reader whose signal is aborted after chunk ${cut}`, async (desk) => {
        const controller = new AbortController();
        const options = { signal: controller.signal };
        const stream = await desk.cache.wrapStream(STREAMED, () => Promise.resolve(sourceOf(CHUNKS)), options);
        const reader = stream[Symbol.asyncIterator]();
        for (let read = 0; read < cut; read++) await reader.next();
        const reason = new Error("enough");
        controller.abort(reason);
        await rejects(() => reader.next(), (error) => error === reason);
        await leftNothing(desk);
      });

      check(`leaves nothing: a source that ends after chunk ${cut}`, async (desk) => {
        const stream = await desk.cache.wrapStream(STREAMED, () => Promise.resolve(sourceOf(CHUNKS.slice(0, cut))));
        same(await Array.fromAsync(stream), CHUNKS.slice(0, cut), "what was there is passed on");
        await leftNothing(desk);
      });

      check(`leaves nothing: a source that fails after chunk ${cut}`, async (desk) => {
        const reset = new Error("connection reset");
        const stream = await desk.cache.wrapStream(
          STREAMED,
          () => Promise.resolve(sourceOf(CHUNKS.slice(0, cut), reset)),
        );
        await rejects(() => Array.fromAsync(stream), (error) => error === reset);
        await leftNothing(desk);
      });
    }

    check("leaves nothing: bytes, wherever they are cut", async (desk) => {
      const text = eventText(CHUNKS);
      const end = text.lastIndexOf("data: ", text.indexOf('"finish_reason":"stop"'));
      for (const cut of [0, 1, 7, end - 1, end, end + 30]) {
        const part = text.slice(0, cut);
        const events = await desk.cache.wrapEvents(STREAMED, () => Promise.resolve(sourceOf(piecesOf(part, 64))));
        same(await textOf(events), part);
        await settled();
        same(await desk.cache.get(STREAMED), undefined, `what is left of ${cut} bytes`);
      }
      await leftNothing(desk);
    });

    check("is not even begun for a signal that was aborted before", async ({ cache }) => {
      const reason = new Error("enough");
      const options = { signal: AbortSignal.abort(reason) };
      const isReason = (error: unknown): boolean => error === reason;
      await rejects(() => cache.wrap(ask("cats"), never, options), isReason);
      await rejects(() => cache.wrapStream(STREAMED, never, options), isReason);
      await rejects(() => cache.wrapMany([ask("cats")], never, options), isReason);
    });

    check("ends a caller's waiting, and nobody else's", async ({ cache, provider }) => {
      const answered = Promise.withResolvers<void>();
      const controller = new AbortController();
      const produce = async (body: object): Promise<object> => {
        await answered.promise;
        return await provider.answer(body);
      };
      const [mine, his] = [{ signal: controller.signal }, {}].map((options) =>
        cache.wrap(ask("cats"), produce, options)
      ) as [Promise<object>, Promise<object>];
      const reason = new Error("enough");
      controller.abort(reason);
      await rejects(() => soon(mine), (error) => error === reason);
      answered.resolve();
      await his;
      same(provider.calls.length, 1);
      await cache.wrap(ask("cats"), never);
    });

    check("tells the call so when nobody waits any more, and what comes all the same is kept", async ({ cache }) => {
      const begun = Promise.withResolvers<AbortSignal>();
      const answered = Promise.withResolvers<object>();
      const controller = new AbortController();
      const waiting = cache.wrap(ask("cats"), (_body, { signal }) => {
        begun.resolve(signal);
        return answered.promise;
      }, { signal: controller.signal });
      const signal = await soon(begun.promise);
      same(signal.aborted, false);
      const reason = new Error("enough");
      controller.abort(reason);
      await rejects(() => soon(waiting), (error) => error === reason);
      same(signal.aborted, true);
      answered.resolve({ choices: [{ message: { content: "late" }, finish_reason: "stop" }] });
      const isStored = async (): Promise<void> => {
        while (await cache.get(ask("cats")) === undefined) await turn();
      };
      await soon(isStored());
      await cache.wrap(ask("cats"), never);
    });
  });
}

/** Nothing is stored, and whoever asks next gets the whole of his own. */
async function leftNothing({ cache }: Desk): Promise<void> {
  await settled();
  same(await cache.get(STREAMED), undefined, "what is left");
  let calls = 0;
  const stream = await cache.wrapStream(STREAMED, () => {
    calls++;
    return Promise.resolve(sourceOf(CHUNKS));
  });
  same(await Array.fromAsync(stream), CHUNKS);
  same(calls, 1);
  same(await Array.fromAsync(await cache.wrapStream(STREAMED, never)), CHUNKS);
}

/** Whatever a cache might do wrong in the background gets its turns. */
async function settled(): Promise<void> {
  for (let time = 0; time < 5; time++) await turn();
}
