import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { JsonObject } from "../../src/cache/json.ts";
import { joinAnswers, manySamples, ONE_SAMPLE, sampleShape, splitAnswer } from "../../src/cache/answer/samples.ts";
import { joinUsage, readFacts, splitUsage } from "../../src/cache/answer/usage.ts";

const CHAT = "/v1/chat/completions";
const COMPLETIONS = "/v1/completions";

function chatAnswer(texts: string[], usage?: object): JsonObject {
  const choices = texts.map((content, index) => ({
    index,
    message: { role: "assistant", content },
    finish_reason: "stop",
  }));
  return { id: "chatcmpl-1", object: "chat.completion", created: 1, model: "m", choices, ...(usage && { usage }) };
}

function textsOf(answer: JsonObject): unknown[] {
  return (answer.choices as { text?: string; message?: { content: string } }[]).map((choice) =>
    choice.text ?? choice.message?.content
  );
}

function indexesOf(answer: JsonObject): unknown[] {
  return (answer.choices as { index: number }[]).map(({ index }) => index);
}

describe("sampleShape", () => {
  it("reads n of chat completions and completions; absent and null are 1", () => {
    assert.equal(sampleShape(CHAT, { n: 3 }).samples, 3);
    assert.equal(sampleShape(COMPLETIONS, { n: 3, prompt: "a" }).samples, 3);
    assert.equal(sampleShape(CHAT, {}).samples, 1);
    assert.equal(sampleShape(CHAT, { n: null }).samples, 1);
  });

  it("knows no samples elsewhere: there n, if it means anything, is in the key", () => {
    for (const endpoint of ["/v1/responses", "/v1/messages", "/v1/embeddings", "/v1/images/generations"]) {
      assert.equal(sampleShape(endpoint, { n: 3 }), ONE_SAMPLE);
    }
  });

  it("refuses an n that is no positive integer", () => {
    for (const n of [0, -1, 1.5, "2", NaN, Infinity, true, []]) {
      assert.throws(() => sampleShape(CHAT, { n }), TypeError, String(n));
    }
  });

  it("counts the prompts of completions", () => {
    const prompts = (prompt: unknown): number => sampleShape(COMPLETIONS, { prompt }).prompts;
    assert.equal(prompts("a"), 1);
    assert.equal(prompts(["a"]), 1);
    assert.equal(prompts(["a", "b"]), 2);
    assert.equal(prompts([1, 2, 3]), 1, "one list of tokens is one prompt");
    assert.equal(prompts([[1, 2], [3]]), 2);
    assert.equal(prompts(undefined), 1);
  });

  it("calls samples fixed where the provider would repeat itself or ranks them", () => {
    assert.equal(sampleShape(CHAT, { seed: 0 }).fixed, true);
    assert.equal(sampleShape(COMPLETIONS, { best_of: 5 }).fixed, true);
    assert.equal(sampleShape(CHAT, { seed: null }).fixed, false);
    assert.equal(sampleShape(CHAT, {}).fixed, false);
  });
});

describe("manySamples", () => {
  it("is as many samples as are wanted, whatever the body says and the endpoint knows", () => {
    assert.deepEqual(manySamples(CHAT, { n: "many" }, 3), { samples: 3, prompts: 1, fixed: false });
    assert.deepEqual(manySamples("/v1/messages", {}, 3), { samples: 3, prompts: 1, fixed: false });
    assert.deepEqual(manySamples(COMPLETIONS, { prompt: ["a", "b"] }, 3), { samples: 3, prompts: 2, fixed: false });
  });

  it("knows a seed wherever providers have it", () => {
    const bodies = [{ seed: 1 }, { random_seed: 1 }, { generationConfig: { seed: 1 } }, { options: { seed: 1 } }];
    for (const body of bodies) assert.equal(manySamples("/v1/other", body, 2).fixed, true);
    assert.equal(manySamples("/v1/other", { generationConfig: { seed: null }, options: [1] }, 2).fixed, false);
  });
});

describe("splitAnswer and joinAnswers", () => {
  it("leave an answer with one choice as it is, whatever its index", () => {
    const answer = { ...chatAnswer([]), choices: [{ index: 7, text: "a" }] };
    assert.equal(splitAnswer(answer, ONE_SAMPLE)![0], answer);
    assert.equal(splitAnswer({ strange: true }, ONE_SAMPLE)?.length, 1);
  });

  it("give back the answer that was split", () => {
    for (const count of [2, 3, 7, 20]) {
      const usage = { prompt_tokens: 11, completion_tokens: 100, total_tokens: 111 };
      const answer = chatAnswer(Array.from({ length: count }, (_, index) => `text ${index}`), usage);
      const samples = splitAnswer(answer, { ...ONE_SAMPLE, samples: count })!;
      assert.equal(samples.length, count);
      assert.deepEqual(joinAnswers(samples), answer);
    }
  });

  it("make each sample what a call with n = 1 would have answered", () => {
    const answer = chatAnswer(["a", "b"], { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 });
    assert.deepEqual(splitAnswer(answer, { ...ONE_SAMPLE, samples: 2 }), [
      chatAnswer(["a"], { prompt_tokens: 10, completion_tokens: 3, total_tokens: 13 }),
      chatAnswer(["b"], { prompt_tokens: 10, completion_tokens: 2, total_tokens: 12 }),
    ]);
  });

  it("follow the numbers of choices that came out of order", () => {
    const answer = chatAnswer(["a", "b", "c"]);
    (answer.choices as unknown[]).reverse();
    const samples = splitAnswer(answer, { ...ONE_SAMPLE, samples: 3 })!;
    assert.deepEqual(samples.map(textsOf), [["a"], ["b"], ["c"]]);
  });

  it("take choices as they come where they are not numbered apart", () => {
    const choices = [{ index: 0, text: "b" }, { index: 0, text: "a" }, { text: "c" }];
    const samples = splitAnswer({ choices }, { ...ONE_SAMPLE, samples: 3 })!;
    assert.deepEqual(samples.map(textsOf), [["b"], ["a"], ["c"]]);
    assert.deepEqual(indexesOf(joinAnswers(samples)), [0, 1, 2]);
  });

  it("make samples of whatever number came", () => {
    assert.equal(splitAnswer(chatAnswer(["a", "b"]), { ...ONE_SAMPLE, samples: 5 })!.length, 2);
    assert.equal(splitAnswer(chatAnswer(["a", "b"]), { ...ONE_SAMPLE, samples: 1 })!.length, 2);
  });

  it("join samples of several calls under the first one's name", () => {
    const usage = { prompt_tokens: 10, completion_tokens: 4, total_tokens: 14 };
    const first = splitAnswer(chatAnswer(["a", "b"], usage), { ...ONE_SAMPLE, samples: 2 })!;
    const later = { ...chatAnswer(["c"], { ...usage, completion_tokens: 9, total_tokens: 19 }), id: "later" };
    const joined = joinAnswers([...first, later]);
    assert.equal(joined.id, "chatcmpl-1");
    assert.deepEqual(textsOf(joined), ["a", "b", "c"]);
    assert.deepEqual(joined.usage, { prompt_tokens: 10, completion_tokens: 13, total_tokens: 23 });
  });

  it("give no bill where one sample has none", () => {
    const paid = chatAnswer(["a"], { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 });
    assert.equal("usage" in joinAnswers([paid, chatAnswer(["b"])]), false);
    assert.equal("usage" in joinAnswers([chatAnswer(["b"]), paid]), false);
  });

  describe("of completions with several prompts", () => {
    // Two prompts, three samples each, numbered as the provider numbers them: all of the first prompt first.
    const texts = ["p0s0", "p0s1", "p0s2", "p1s0", "p1s1", "p1s2"];
    const answer = { id: "cmpl-1", choices: texts.map((text, index) => ({ text, index })) };
    const shape = { samples: 3, prompts: 2, fixed: false };

    it("give every sample a choice for each prompt", () => {
      const samples = splitAnswer(answer, shape)!;
      assert.deepEqual(samples.map(textsOf), [["p0s0", "p1s0"], ["p0s1", "p1s1"], ["p0s2", "p1s2"]]);
      assert.deepEqual(samples.map(indexesOf), [[0, 1], [0, 1], [0, 1]]);
    });

    it("give back the provider's order", () => {
      const samples = splitAnswer(answer, shape)!;
      assert.deepEqual(joinAnswers(samples), answer);
      assert.deepEqual(textsOf(joinAnswers(samples.slice(0, 2))), ["p0s0", "p0s1", "p1s0", "p1s1"]);
    });

    it("follow the numbers, not the places", () => {
      const shuffled = { ...answer, choices: [4, 1, 5, 0, 3, 2].map((index) => answer.choices[index]) };
      assert.deepEqual(joinAnswers(splitAnswer(shuffled, shape)!), answer);
    });

    it("leave an answer for n = 1 as it is", () => {
      const single = { choices: [{ index: 1, text: "b" }, { index: 0, text: "a" }] };
      assert.equal(splitAnswer(single, { ...shape, samples: 1 })![0], single);
    });

    it("refuse an answer that does not cover every prompt: nobody can say which text is whose", () => {
      assert.equal(splitAnswer({ choices: answer.choices.slice(0, 5) }, shape), undefined);
      assert.equal(splitAnswer({ choices: answer.choices.slice(0, 3) }, { ...shape, samples: 1 }), undefined);
      assert.equal(splitAnswer({ choices: answer.choices.slice(0, 2) }, shape), undefined);
      const doubled = answer.choices.map((choice) => ({ ...choice, index: 0 }));
      assert.equal(splitAnswer({ choices: doubled }, shape), undefined);
    });
  });
});

describe("splitUsage and joinUsage", () => {
  const usages: [what: string, usage: JsonObject][] = [
    ["OpenAI's", {
      prompt_tokens: 31,
      completion_tokens: 100,
      total_tokens: 131,
      prompt_tokens_details: { cached_tokens: 16, audio_tokens: 0 },
      completion_tokens_details: { reasoning_tokens: 64, accepted_prediction_tokens: 0 },
    }],
    ["one whose total is more than its parts", { prompt_tokens: 5, completion_tokens: 7, total_tokens: 40 }],
    ["one whose total is less than its parts", { prompt_tokens: 5, completion_tokens: 7, total_tokens: 3 }],
    ["one with fractions", {
      prompt_tokens: 5,
      completion_tokens: 7,
      cost: 0.0123,
      prompt_time: 0.25,
      total_time: 1.1,
    }],
    ["one with texts and nulls", { prompt_tokens: 5, completion_tokens: 0, tier: "default", details: null }],
    ["an empty one", {}],
  ];
  for (const [what, usage] of usages) {
    it(`give ${what} back, divided by any number`, () => {
      for (let parts = 1; parts <= 40; parts++) assert.deepEqual(joinUsage(splitUsage(usage, parts)), usage);
    });
  }

  it("give a sample the whole prompt and its share of the rest", () => {
    const usage = { prompt_tokens: 10, completion_tokens: 7, total_tokens: 17, details: { reasoning_tokens: 4 } };
    assert.deepEqual(splitUsage(usage, 2), [
      { prompt_tokens: 10, completion_tokens: 4, total_tokens: 14, details: { reasoning_tokens: 2 } },
      { prompt_tokens: 10, completion_tokens: 3, total_tokens: 13, details: { reasoning_tokens: 2 } },
    ]);
  });
});

describe("readFacts", () => {
  it("reads OpenAI's names", () => {
    const answer = {
      model: "gpt-4o-2024-08-06",
      system_fingerprint: "fp_1",
      usage: { prompt_tokens: 3, completion_tokens: 0 },
    };
    assert.deepEqual(readFacts(answer), {
      modelAnswered: "gpt-4o-2024-08-06",
      fingerprint: "fp_1",
      promptTokens: 3,
      completionTokens: 0,
    });
  });

  it("reads Anthropic's names, and counts as prompt what its prompt cache read or wrote", () => {
    const usage = {
      input_tokens: 3,
      cache_creation_input_tokens: 10,
      cache_read_input_tokens: 200,
      output_tokens: 5,
    };
    const { promptTokens, completionTokens } = readFacts({ model: "c", usage });
    assert.deepEqual({ promptTokens, completionTokens }, { promptTokens: 213, completionTokens: 5 });
  });

  it("reads Gemini's names, and counts as completion what it thought", () => {
    const usageMetadata = { promptTokenCount: 3, candidatesTokenCount: 5, thoughtsTokenCount: 40, totalTokenCount: 48 };
    const { modelAnswered, promptTokens, completionTokens } = readFacts({ modelVersion: "gemini", usageMetadata });
    assert.deepEqual([modelAnswered, promptTokens, completionTokens], ["gemini", 3, 45]);
  });

  it("makes nothing up", () => {
    const nothing = { modelAnswered: null, fingerprint: null, promptTokens: null, completionTokens: null };
    const strange = { model: 4, system_fingerprint: null, usage: { prompt_tokens: "3", completion_tokens: -1 } };
    for (const answer of [{}, [], null, "text", { usage: null }, strange]) assert.deepEqual(readFacts(answer), nothing);
  });
});
