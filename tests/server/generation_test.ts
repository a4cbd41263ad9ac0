/** How tokens are chosen and conversations rendered, over HTTP. */

import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { RunningServer } from "../../src/compose/server.ts";
import { copyModel } from "../support/models.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { post, testServer } from "./support.ts";

/** Writes turns as `<role name>content`, then what it was asked besides. */
const TEMPLATE = `{% for m in messages %}<{{ m.role }}{% if m.name is defined %} {{ m.name }}{% endif %}>{{ m.content }}
{% endfor %}{% if mood is defined %}({{ mood }}){% endif %}{% if add_generation_prompt %}<assistant>{% endif %}`;

let server: RunningServer;
before(async () => {
  const models = await temporaryFolder();
  const folder = await copyModel(models, "kjv-tiny");
  const config = JSON.parse(await readFile(join(folder, "tokenizer_config.json"), "utf8"));
  await writeFile(join(folder, "tokenizer_config.json"), JSON.stringify({ ...config, chat_template: TEMPLATE }));
  server = await testServer({ models, cache: await temporaryFolder() });
});
after(() => server.stop());

// deno-lint-ignore no-explicit-any -- tests read what they know is there
async function ask(path: string, body: object): Promise<any> {
  const response = await post(server, path, { model: "kjv-tiny", ...body });
  const answer = await response.json();
  assert.equal(response.status, 200, JSON.stringify(answer));
  return answer;
}

async function textOf(body: object): Promise<string> {
  return (await ask("/v1/completions", { prompt: "In the beginning God", max_tokens: 12, ...body })).choices[0].text;
}

describe("completions", () => {
  it("follow what a request says of its tokens", async () => {
    const greedy = await textOf({ temperature: 0 });
    assert.equal(await textOf({ top_k: 1, seed: 1 }), greedy);
    assert.equal(await textOf({ top_p: 1e-9, seed: 2 }), greedy);
    assert.equal(await textOf({ min_p: 1, seed: 3 }), greedy);
    assert.notEqual(await textOf({ temperature: 0, frequency_penalty: 2, presence_penalty: 2 }), greedy);
    assert.notEqual(await textOf({ temperature: 0, repetition_penalty: 5 }), greedy);
    const only = await ask("/v1/completions", {
      prompt: "In",
      max_tokens: 3,
      temperature: 0,
      logit_bias: { 260: 100 },
      logprobs: 0,
    });
    assert.deepEqual(only.choices[0].logprobs.token_ids, [260, 260, 260]);
  });

  it("end no sooner than min_tokens says", async () => {
    const ending = { prompt: "In", max_tokens: 9, temperature: 0, logit_bias: { 0: 100 } };
    assert.equal((await ask("/v1/completions", ending)).usage.completion_tokens, 0);
    const later = await ask("/v1/completions", { ...ending, min_tokens: 4 });
    assert.deepEqual([later.usage.completion_tokens, later.choices[0].finish_reason], [4, "stop"]);
  });

  it("give n choices what each would be alone", async () => {
    const prompt = "And the LORD spake unto Moses, saying, ".repeat(14);
    const body = { prompt, max_tokens: 8, temperature: 1, logprobs: 2 };
    const together = await ask("/v1/completions", { ...body, n: 3, seed: 100 });
    assert.equal(new Set(together.choices.map(({ text }: { text: string }) => text)).size, 3);
    for (const [index, choice] of together.choices.entries()) {
      const alone = await ask("/v1/completions", { ...body, seed: 100 + index });
      assert.deepEqual({ ...choice, index: 0 }, alone.choices[0]);
    }
  });
});

describe("chat completions", () => {
  /** What the model was given: the answer to a conversation is the answer to its text. */
  async function assertRendered(body: object, prompt: string): Promise<void> {
    const sampling = { temperature: 0, max_tokens: 8 };
    const chat = await ask("/v1/chat/completions", { ...body, ...sampling });
    const plain = await ask("/v1/completions", { prompt, ...sampling });
    assert.equal(chat.choices[0].message.content, plain.choices[0].text);
    assert.equal(chat.usage.prompt_tokens, plain.usage.prompt_tokens);
  }
  const user = { role: "user", content: "Who art thou?" };

  it("render messages by the model's template, names and tools' answers too", async () => {
    const messages = [{ role: "system", content: "Be brief." }, { ...user, name: "Eli" }];
    await assertRendered({ messages }, "<system>Be brief.\n<user Eli>Who art thou?\n<assistant>");
    const answered = [user, { role: "tool", content: "Samuel", tool_call_id: "1" }];
    await assertRendered({ messages: answered }, "<user>Who art thou?\n<tool>Samuel\n<assistant>");
  });

  it("give the template the request's variables", async () => {
    const body = { messages: [user], chat_template_kwargs: { mood: "grave" } };
    await assertRendered(body, "<user>Who art thou?\n(grave)<assistant>");
  });

  it("begin no turn, or go on with the last one, where the request says so", async () => {
    await assertRendered({ messages: [user], add_generation_prompt: false }, "<user>Who art thou?\n");
    const begun = { messages: [user, { role: "assistant", content: "I am " }], continue_final_message: true };
    await assertRendered(begun, "<user>Who art thou?\n<assistant>I am ");
    await assertRendered({ ...begun, add_generation_prompt: false }, "<user>Who art thou?\n<assistant>I am ");
  });

  it("tell the same request with other variables apart in the cache", async () => {
    const body = { messages: [user], temperature: 0, max_tokens: 4 };
    const status = async (fields: object) => {
      const response = await post(server, "/v1/chat/completions", { model: "kjv-tiny", ...body, ...fields });
      await response.text();
      return response.headers.get("Cache-Status");
    };
    await status({ chat_template_kwargs: { mood: "glad" } });
    assert.match((await status({ chat_template_kwargs: { mood: "glad" } }))!, /hit/);
    assert.match((await status({ chat_template_kwargs: { mood: "sad" } }))!, /fwd=/);
    assert.match((await status({ top_k: 5 }))!, /fwd=/);
  });
});
