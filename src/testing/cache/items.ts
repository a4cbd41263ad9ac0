/**
 * Embeddings and moderations: texts are bought one by one, however they are asked for together.
 *
 * @module
 */

import type { JsonObject } from "../../cache/json.ts";
import { same } from "../assertions.ts";
import { never } from "./provider.ts";
import type { CacheSuite } from "./suite.ts";

const EMBEDDINGS = { endpoint: "/v1/embeddings" };
const TEXTS = ["a", "bb", "ccc", "dddd"];
const MASKS = Array.from({ length: 2 ** TEXTS.length }, (_, mask) => mask);

/** Registers the tests. */
export function testItems({ describe, check }: CacheSuite): void {
  describe("embeddings", () => {
    check("keep every vector with its text, for all patterns of what is there", async ({ cache }) => {
      for (const mask of MASKS) {
        const model = `embedder-${mask}`;
        const there = TEXTS.filter((_, index) => (mask >> index & 1) === 1);
        const asked: unknown[] = [];
        const produce = (body: JsonObject): Promise<JsonObject> => {
          asked.push(...body.input as string[]);
          return Promise.resolve(embeddings(model, body.input as string[]));
        };
        if (there.length > 0) await cache.wrapEmbeddings({ model, input: there }, produce);
        const input = ["ccc", "a", "dddd", "a", "bb"];
        const answer = await cache.wrapEmbeddings({ model, input }, produce);
        same(vectorsOf(answer), input.map(vectorOf), `pattern ${mask}`);
        same(asked.toSorted(), TEXTS, "each text is bought once");
        same(vectorsOf(await cache.wrapEmbeddings({ model, input: ["bb"] }, never)), [vectorOf("bb")]);
      }
    });

    check("are found by whoever asks with the endpoint's name", async ({ cache }) => {
      const body = { model: "m", input: "a" };
      await cache.wrapEmbeddings(body, () => Promise.resolve(embeddings("m", ["a"])));
      same(vectorsOf(await cache.wrap(body, never, EMBEDDINGS)), [vectorOf("a")]);
    });

    check("of other dimensions, and of another model, are others", async ({ cache }) => {
      let calls = 0;
      const produce = (body: JsonObject): Promise<JsonObject> => {
        calls++;
        return Promise.resolve(embeddings(body.model as string, ["a"]));
      };
      const bodies = [{ model: "m", input: "a" }, { model: "m", input: "a", dimensions: 3 }, {
        model: "n",
        input: "a",
      }];
      for (const body of [...bodies, ...bodies]) await cache.wrapEmbeddings<JsonObject, JsonObject>(body, produce);
      same(calls, bodies.length);
    });
  });

  describe("moderations", () => {
    check("keep every result with its text", async ({ cache }) => {
      const asked: unknown[] = [];
      const produce = (body: JsonObject): Promise<JsonObject> => {
        const input = body.input as string[];
        asked.push(...input);
        return Promise.resolve({ id: "modr-1", model: "m", results: input.map((text) => ({ about: text })) });
      };
      await cache.wrapModerations({ model: "m", input: ["bb", "a"] }, produce);
      const input = ["a", "ccc", "bb", "ccc"];
      const { results } = await cache.wrapModerations({ model: "m", input }, produce);
      same((results as { about: string }[]).map(({ about }) => about), input);
      same(asked, ["bb", "a", "ccc"]);
    });
  });
}

/** The last one first: an answer is known by its index, not by its place. */
function embeddings(model: string, texts: readonly string[]): JsonObject {
  const data = texts.map((text, index) => ({ object: "embedding", index, embedding: vectorOf(text) }));
  const tokens = 10 * texts.length;
  return {
    object: "list",
    data: data.toReversed(),
    model,
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  } as JsonObject;
}

function vectorOf(text: string): number[] {
  return [text.length, text.charCodeAt(0), 0.1];
}

function vectorsOf(answer: JsonObject): unknown[] {
  return (answer.data as { embedding: unknown }[]).map(({ embedding }) => embedding);
}
