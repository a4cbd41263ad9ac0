/**
 * Which requests are the same. One that is taken for another is answered wrongly, and nobody sees it.
 *
 * @module
 */

import type { JsonObject } from "../../cache/json.ts";
import type { Scope } from "../../cache/request/scope.ts";
import { isTypeError, present, rejects, same } from "../assertions.ts";
import { answerOf, ask, never, saidBy } from "./provider.ts";
import type { CacheSuite, Desk } from "./suite.ts";

const TOOL: JsonObject = { type: "function", function: { name: "f", parameters: { type: "object" } } };

/** Each differs from the plain request, and from the others, in one thing. */
const VARIATIONS: Readonly<Record<string, JsonObject>> = {
  "other words": ask("dogs"),
  "a letter's case": ask("Cats"),
  "a space": ask("cats "),
  "another form of a letter": ask("ca\u0301ts"),
  "that letter, composed": ask("c\u00e1ts"),
  "another role": ask("", { messages: [{ role: "system", content: "cats" }] }),
  "a name": ask("", { messages: [{ role: "user", content: "cats", name: "Ann" }] }),
  "one more message": ask("", { messages: [{ role: "user", content: "cats" }, { role: "user", content: "cats" }] }),
  "parts for a text": ask("", { messages: [{ role: "user", content: [{ type: "text", text: "cats" }] }] }),
  "temperature": ask("cats", { temperature: 0 }),
  "another temperature": ask("cats", { temperature: 0.7 }),
  "a temperature that is text": ask("cats", { temperature: "0" }),
  "null for a temperature": ask("cats", { temperature: null }),
  "top_p": ask("cats", { top_p: 0.5 }),
  "max_tokens": ask("cats", { max_tokens: 5 }),
  "max_completion_tokens": ask("cats", { max_completion_tokens: 5 }),
  "seed": ask("cats", { seed: 1 }),
  "stop": ask("cats", { stop: ["\n"] }),
  "presence_penalty": ask("cats", { presence_penalty: 1 }),
  "frequency_penalty": ask("cats", { frequency_penalty: 1 }),
  "logit_bias": ask("cats", { logit_bias: { 50256: -100 } }),
  "logprobs": ask("cats", { logprobs: true }),
  "top_logprobs": ask("cats", { logprobs: true, top_logprobs: 2 }),
  "response_format": ask("cats", { response_format: { type: "json_object" } }),
  "tools": ask("cats", { tools: [TOOL] }),
  "tools in another order": ask("cats", { tools: [{ type: "function", function: { name: "g" } }, TOOL] }),
  "those in this one": ask("cats", { tools: [TOOL, { type: "function", function: { name: "g" } }] }),
  "tool_choice": ask("cats", { tools: [TOOL], tool_choice: "required" }),
  "parallel_tool_calls": ask("cats", { tools: [TOOL], parallel_tool_calls: false }),
  "reasoning_effort": ask("cats", { reasoning_effort: "high" }),
  "service_tier": ask("cats", { service_tier: "flex" }),
  "a field nobody here knows": ask("cats", { of_next_year: 1 }),
  "such a field, within": ask("cats", { of_next_year: { deep: [{ er: 1 }] } }),
  "false for it": ask("cats", { of_next_year: false }),
  "null for it": ask("cats", { of_next_year: null }),
};

/** Each is somebody else's request. */
const SCOPES: Readonly<Record<string, Scope>> = {
  "another provider": { provider: "azure" },
  "a provider by its origin": { provider: "https://api.example.com" },
  "another endpoint": { endpoint: "/v2/chat/completions" },
  "a namespace": { namespace: "a" },
  "a namespace that begins like it": { namespace: "ab" },
  "a namespace in capitals": { namespace: "A" },
  "a model's content": { identity: "sha256:1" },
  "another model's content": { identity: "sha256:2" },
};

/** Registers the tests. */
export function testKeys({ describe, check }: CacheSuite): void {
  describe("the key", () => {
    check("changes with every field of the request, known or not", async ({ cache }) => {
      await cache.put(ask("cats"), answerOf(["plain"]));
      const all = Object.entries(VARIATIONS);
      const found = await cache.getMany(all.map(([, body]) => body));
      same(all.filter((_, index) => found[index] !== undefined).map(([name]) => name), [], "taken for the plain one");
      for (const [name, body] of all) await cache.put(body, answerOf([name]));
      const answers = await cache.getMany(all.map(([, body]) => body));
      same(answers.map((entry) => saidBy(entry?.json())[0]), all.map(([name]) => name));
      same(saidBy((await cache.get(ask("cats")))?.json()), ["plain"]);
    });

    check("changes with who is asked", async ({ cache }) => {
      await cache.put(ask("cats"), answerOf(["plain"]));
      for (const [name, scope] of Object.entries(SCOPES)) {
        same(await cache.get(ask("cats"), scope), undefined, name);
        await cache.put(ask("cats"), answerOf([name]), scope);
      }
      for (const [name, scope] of Object.entries(SCOPES)) {
        same(saidBy((await cache.get(ask("cats"), scope))?.json()), [name]);
      }
      same(saidBy((await cache.get(ask("cats")))?.json()), ["plain"]);
    });

    check("changes with the model, however alike the names", async ({ cache }) => {
      const models = ["gpt-4o", "GPT-4o", "gpt-4o ", "openai/gpt-4o", "gpt-4o-mini", "gpt-4o:free", "модель", ""];
      for (const model of models) await cache.put(ask("cats", { model }), answerOf([`from ${model}`]));
      const found = await cache.getMany(models.map((model) => ask("cats", { model })));
      same(found.map((entry) => saidBy(entry?.json())[0]), models.map((model) => `from ${model}`));
    });

    check("does not change with the order of names, or the notation of numbers", async (desk) => {
      await isSame(desk, ask("cats", { a: 1, b: { c: 2, d: 3 } }), ask("cats", { b: { d: 3, c: 2 }, a: 1 }));
      await isSame(desk, ask("zero", { temperature: 0 }), ask("zero", JSON.parse('{"temperature":0.0}')));
      await isSame(desk, ask("zero", { temperature: 0 }), ask("zero", { temperature: -0 }));
      await isSame(desk, ask("large", { temperature: 100 }), ask("large", JSON.parse('{"temperature":1e2}')));
    });

    check("does not change with fields that are undefined, which no provider gets to see", async (desk) => {
      await isSame(desk, ask("cats"), { ...ask("cats"), temperature: undefined } as JsonObject);
    });

    check("does not change with what cannot change a good answer", async (desk) => {
      for (const rest of [{ user: "ann" }, { metadata: { run: "7" } }, { store: true }]) {
        await isSame(desk, ask("cats"), ask("cats", rest as JsonObject));
      }
    });

    check("cannot be made of what is no JSON, and nobody is asked", async ({ cache }) => {
      const circle: JsonObject = ask("cats");
      circle.self = circle;
      for (const body of [circle, ask("cats", { count: 1n as never }), ask("cats", { odd: NaN })]) {
        await rejects(() => cache.wrap(body, never), isTypeError);
        await rejects(() => cache.put(body, answerOf(["x"])), isTypeError);
      }
    });

    check("cannot be made where nobody knows who is asked", async ({ cache }) => {
      await rejects(() => cache.wrap({ messages: [] }, never), isTypeError);
    });
  });
}

async function isSame({ cache }: Desk, stored: JsonObject, asked: JsonObject): Promise<void> {
  await cache.put(stored, answerOf(["the same"]));
  same(saidBy(present(await cache.get(asked), `the answer to ${JSON.stringify(asked)}`).json()), ["the same"]);
  await cache.delete(stored);
  same(await cache.get(asked), undefined, "what is left of it");
}
