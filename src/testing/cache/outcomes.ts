/**
 * What is kept. An error that is stored once is an error for ever.
 *
 * @module
 */

import type { CacheStatus } from "../../cache/call_options.ts";
import type { JsonObject } from "../../cache/json.ts";
import type { Outcome } from "../../store/store.ts";
import { present, rejects, same } from "../assertions.ts";
import { answerOf, ask, never } from "./provider.ts";
import type { CacheSuite } from "./suite.ts";

function ended(finish_reason: string, message: JsonObject): JsonObject {
  return answerOf([], { choices: [{ index: 0, message: { role: "assistant", ...message }, finish_reason }] });
}

const CALLS = [{ id: "call_1", type: "function", function: { name: "f", arguments: "{}" } }];

const KEPT: readonly (readonly [what: string, outcome: Outcome, answer: JsonObject])[] = [
  ["a text", "stop", answerOf(["hi"])],
  ["a text that was cut off", "length", ended("length", { content: "It was a dark and" })],
  ["a call of a tool", "tool_calls", ended("tool_calls", { content: null, tool_calls: CALLS })],
  ["a refusal", "refusal", ended("stop", { content: null, refusal: "I cannot do that." })],
  ["what a filter left", "content_filter", ended("content_filter", { content: "" })],
];

const NOT_KEPT: readonly (readonly [what: string, answer: JsonObject])[] = [
  ["an error, though the status was 200", { error: { message: "overloaded", type: "server_error" } }],
  ["an error beside choices", answerOf(["hi"], { error: { message: "cut off", code: 502 } })],
  [
    "a choice that is an error",
    answerOf([], { choices: [{ index: 0, error: { code: 502 }, finish_reason: "error" }] }),
  ],
  ["no choices", answerOf([])],
  ["a text without a letter", answerOf([""])],
  ["nothing at all", {}],
];

/** Registers the tests. */
export function testOutcomes({ describe, check }: CacheSuite): void {
  describe("what came of a call", () => {
    for (const [what, outcome, answer] of KEPT) {
      check(`is kept, and marked ${outcome}: ${what}`, async ({ cache }) => {
        const status: CacheStatus = {};
        same(await cache.wrap(ask("cats"), () => Promise.resolve(answer), { status }), answer);
        same(status.stored, true, "whether it was stored");
        same(await cache.wrap(ask("cats"), never), answer);
        same(present(await cache.get(ask("cats")), "the answer").outcome, outcome);
      });
    }

    for (const [what, answer] of NOT_KEPT) {
      check(`is passed on and not kept: ${what}`, async ({ cache, provider }) => {
        const status: CacheStatus = {};
        same(await cache.wrap<JsonObject>(ask("cats"), () => Promise.resolve(answer), { status }), answer);
        same(status.stored, false, "whether it was stored");
        same(await cache.get(ask("cats")), undefined);
        await cache.wrap(ask("cats"), provider.answer);
        same(provider.calls.length, 1);
      });
    }

    for (const status of [401, 408, 429, 500, 503, 529]) {
      check(`is the caller's error and not kept, and the next one calls: ${status}`, async ({ cache, provider }) => {
        const error = Object.assign(new Error(`status ${status}`), { status });
        await rejects(() => cache.wrap(ask("cats"), () => Promise.reject(error)), (thrown) => thrown === error);
        same(await cache.get(ask("cats")), undefined);
        await cache.wrap(ask("cats"), provider.answer);
        same(provider.calls.length, 1);
      });
    }

    check("is the caller's error and not kept: a request that the provider refuses", async ({ cache }) => {
      const error = Object.assign(new Error("status 400"), { status: 400 });
      await rejects(() => cache.wrap(ask("cats"), () => Promise.reject(error)), (thrown) => thrown === error);
      same(await cache.get(ask("cats")), undefined);
    });

    check("is not kept where it does not please the caller", async ({ cache, provider }) => {
      const isValid = (answer: JsonObject): boolean => JSON.stringify(answer).includes("text 2");
      await cache.wrap(ask("cats"), provider.answer, { isValid });
      same(await cache.get(ask("cats")), undefined);
      await cache.wrap(ask("cats"), provider.answer, { isValid });
      await cache.wrap(ask("cats"), never, { isValid });
    });

    check("does not take a good answer's place when it is an error", async ({ cache }) => {
      await cache.put(ask("cats"), answerOf(["good"]));
      const refresh = { mode: "refresh" } as const;
      await cache.wrap<JsonObject>(ask("cats"), () => Promise.resolve({ error: { message: "overloaded" } }), refresh);
      await rejects(() => cache.wrap(ask("cats"), () => Promise.reject(new Error("503")), refresh), () => true);
      same(await cache.wrap(ask("cats"), never), answerOf(["good"]));
    });
  });
}
