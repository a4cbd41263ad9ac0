/** The AI SDK's OpenAI provider, LangChain's OpenAI classes and the official client's helpers, on a warm model. */

import { createOpenAI } from "@ai-sdk/openai";
import { HumanMessage } from "@langchain/core/messages";
import { ChatOpenAI, OpenAIEmbeddings } from "@langchain/openai";
import { generateText, streamText } from "ai";
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import OpenAI from "openai";
import type { RunningServer } from "../../src/compose/server.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { getJson, openai, testServer } from "./support.ts";

const PROMPT = "In the beginning God";
const ASKED = { model: "kjv-tiny", max_tokens: 10, temperature: 0 };

let server: RunningServer;
let expected: string;
before(async () => {
  server = await testServer({ cache: await temporaryFolder(), hub: false });
  const answer = await openai(server).chat.completions.create({
    ...ASKED,
    messages: [{ role: "user", content: PROMPT }],
  });
  expected = answer.choices[0]!.message.content!;
  assert.ok(expected.length > 0);
});
after(() => server.stop());

describe("the openai client's helpers", () => {
  it("put a stream together", async () => {
    const stream = openai(server).chat.completions.stream({
      ...ASKED,
      messages: [{ role: "user", content: PROMPT }],
      stream_options: { include_usage: true },
    });
    let text = "";
    stream.on("content", (delta) => text += delta);
    const { choices: [choice], usage } = await stream.finalChatCompletion();
    assert.deepEqual([choice!.message.content, text, choice!.finish_reason], [expected, expected, "length"]);
    assert.equal(usage!.completion_tokens, 10);
  });

  it("stream completions of several prompts", async () => {
    const prompt = [PROMPT, "And the LORD"];
    const stream = await openai(server).completions.create({ ...ASKED, prompt, stream: true });
    const texts = ["", ""];
    for await (const { choices } of stream) for (const { index, text } of choices) texts[index] += text;
    const whole = await openai(server).completions.create({ ...ASKED, prompt });
    assert.deepEqual(whole.choices.map(({ text }) => text), texts);
  });

  it("do not ask again where that is useless", async () => {
    const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "unused", maxRetries: 2 });
    const before = (await getJson(server, "/stats")).request_count;
    const cold = { ...ASKED, model: "kjv-tiny", messages: [{ role: "user" as const, content: "never asked" }] };
    const asking = client.chat.completions.create(cold, { headers: { "Cache-Control": "only-if-cached" } });
    await assert.rejects(asking, (error) => error instanceof OpenAI.APIError && error.status === 504);
    assert.equal((await getJson(server, "/stats")).request_count, before + 1);
  });
});

describe("the AI SDK", () => {
  it("generates and streams", async () => {
    const model = createOpenAI({ baseURL: `${server.url}/v1`, apiKey: "unused" }).chat("kjv-tiny");
    const settings = { model, prompt: PROMPT, maxOutputTokens: 10, temperature: 0 };
    const whole = await generateText(settings);
    assert.deepEqual([whole.text, whole.finishReason, whole.usage.outputTokens], [expected, "length", 10]);
    const stream = streamText(settings);
    let text = "";
    for await (const delta of stream.textStream) text += delta;
    assert.deepEqual([text, await stream.finishReason], [expected, "length"]);
    assert.equal((await stream.usage).outputTokens, 10);
  });
});

describe("LangChain", () => {
  it("generates and streams", async () => {
    const model = new ChatOpenAI({
      model: "kjv-tiny",
      maxTokens: 10,
      temperature: 0,
      apiKey: "unused",
      maxRetries: 0,
      configuration: { baseURL: `${server.url}/v1` },
    });
    const messages = [new HumanMessage(PROMPT)];
    assert.equal((await model.invoke(messages)).text, expected);
    let text = "";
    for await (const chunk of await model.stream(messages)) text += chunk.text;
    assert.equal(text, expected);
  });

  it("tells which model cannot embed", async () => {
    const configuration = { baseURL: `${server.url}/v1` };
    const embeddings = new OpenAIEmbeddings({ model: "kjv-tiny", apiKey: "unused", maxRetries: 0, configuration });
    await assert.rejects(embeddings.embedQuery("a"), /400/);
  });
});
