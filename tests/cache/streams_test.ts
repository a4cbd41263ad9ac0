/** Streams in the response cache: recorded, and given back in either form. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { CacheStatus } from "../../src/cache/call_options.ts";
import type { JsonObject } from "../../src/cache/json.ts";
import { ManualClock } from "../store/manual_clock.ts";
import { openTestCache, saidBy } from "./support.ts";
import {
  all,
  CHAT,
  chatChunks,
  chatText,
  inPieces,
  MESSAGE,
  messageEvents,
  RESPONSE,
  responseEvents,
  said,
  Source,
  Streams,
  textOf,
  typedText,
  USAGE,
  WITH_USAGE,
} from "./streams.ts";

const RAIN = ["It", " will", " rain."];
const chat = (usage?: JsonObject): Streams<JsonObject> =>
  new Streams(() => new Source(chatChunks(RAIN, usage === undefined ? {} : { usage })));
const never = (): Promise<never> => Promise.reject(new Error("it is stored"));

/** By it, whatever is done takes a millisecond. */
class SlowClock extends ManualClock {
  turns = 0;
  #time = 0;

  override monotonic(): number {
    return this.#time++;
  }

  override afterTurn(run: () => void): void {
    this.turns++;
    super.afterTurn(run);
  }
}

const KINDS: [
  name: string,
  scope: { provider?: string; endpoint: string },
  body: JsonObject,
  events: string,
  answer: JsonObject,
][] = [
  [
    "responses",
    { endpoint: "/v1/responses" },
    { model: "gpt-4o-mini", input: "Will it rain?", stream: true },
    typedText(responseEvents()),
    RESPONSE,
  ],
  [
    "messages",
    { provider: "anthropic", endpoint: "/v1/messages" },
    { model: "claude-haiku-4-5", max_tokens: 99, messages: CHAT.messages, stream: true },
    typedText(messageEvents()),
    MESSAGE,
  ],
];

describe("ResponseCache.wrapStream", () => {
  it("gives the very chunks while they come, and an equal stream afterwards", async () => {
    const { cache } = openTestCache();
    const streams = chat();
    const chunks = chatChunks(RAIN);
    const first = new Source(chunks);
    const bought = await all(await cache.wrapStream(CHAT, () => Promise.resolve(first)));
    assert.equal(bought.every((chunk, at) => chunk === chunks[at]), true);
    const stored = await all(await cache.wrapStream(CHAT, streams.answer));
    assert.deepEqual(stored, chunks);
    assert.equal(streams.calls, 0);
  });

  it("has stored the answer, and filled in the status, when the stream ends", async () => {
    const { cache } = openTestCache();
    const statuses: CacheStatus[] = [{}, {}];
    for (const status of statuses) await all(await cache.wrapStream(CHAT, chat(USAGE).answer, { status }));
    assert.deepEqual(statuses.map(({ outcome, stored, shared }) => ({ outcome, stored, shared })), [
      { outcome: "miss", stored: true, shared: false },
      { outcome: "hit", stored: false, shared: false },
    ]);
    const { hits, misses, writes, saved } = await cache.stats();
    assert.deepEqual({ hits, misses, writes }, { hits: 1, misses: 1, writes: 1 });
    assert.equal(saved.completionTokens, 4);
  });

  it("puts a long recording together a little at a time", async () => {
    const clock = new SlowClock();
    const { cache } = openTestCache({ clock });
    const words = Array.from({ length: 100 }, (_, index) => ` ${index}`);
    await all(await cache.wrapStream(CHAT, () => Promise.resolve(new Source(chatChunks(words)))));
    clock.turns = 0;
    const { stream: _, ...whole } = CHAT;
    const answer = await cache.wrap(whole, never) as { choices: { message: { content: string } }[] };
    assert.equal(answer.choices[0]!.message.content, words.join(""));
    assert.ok(clock.turns >= 10, String(clock.turns));
  });

  it("answers in JSON what it recorded as a stream", async () => {
    const { cache, clock } = openTestCache();
    const source = new Source(chatChunks(RAIN, { usage: USAGE }), { stop: 2 });
    const reading = all(await cache.wrapStream({ ...CHAT, ...WITH_USAGE }, () => Promise.resolve(source)));
    await source.door.reached;
    clock.advance(1234);
    source.door.open();
    await reading;
    const { stream: _, ...whole } = CHAT;
    assert.deepEqual(await cache.wrap(whole, never), {
      id: "chatcmpl-7",
      object: "chat.completion",
      created: 1767225600,
      model: "gpt-4o-mini-2024-07-18",
      system_fingerprint: "fp_1",
      choices: [{
        index: 0,
        message: { role: "assistant", content: "It will rain.", refusal: null },
        logprobs: null,
        finish_reason: "stop",
      }],
      usage: USAGE,
    });
    const entry = (await cache.get(CHAT))!;
    assert.equal(entry.outcome, "stop");
    assert.equal(entry.mediaType, "application/json");
    assert.deepEqual(entry.usage, { promptTokens: 10, completionTokens: 4 });
    assert.equal(entry.latency, 1234);
    assert.deepEqual(saidBy(entry.json()), ["It will rain."]);
  });

  it("streams what was stored as JSON", async () => {
    const { cache, provider } = openTestCache();
    await cache.put(CHAT, { ...provider.choices(1), usage: USAGE });
    const chunks = await all<JsonObject>(await cache.wrapStream(CHAT, never));
    assert.equal(said(chunks), "text 1");
    assert.equal(chunks.at(-1)!.choices instanceof Array && chunks.at(-1)!.usage === undefined, true);
    const counted = await all<JsonObject>(await cache.wrapStream({ ...CHAT, ...WITH_USAGE }, never));
    assert.deepEqual(counted.at(-1)!.usage, USAGE);
  });

  it("streams what the provider answered whole, though a stream was asked for", async () => {
    const { cache, provider } = openTestCache();
    const answer = (): Promise<never> => Promise.resolve(provider.choices(1) as never);
    for (let i = 0; i < 2; i++) assert.equal(said(await all(await cache.wrapStream(CHAT, answer))), "text 1");
    assert.deepEqual(saidBy((await cache.get(CHAT))!.json()), ["text 1"]);
  });

  it("tells the usage only those who asked for it, as far as it is known", async () => {
    const { cache } = openTestCache();
    const counted = { ...CHAT, ...WITH_USAGE };
    await all(await cache.wrapStream(counted, chat(USAGE).answer));
    const usages = async (body: typeof CHAT): Promise<unknown[]> =>
      (await all<JsonObject>(await cache.wrapStream(body, never))).map(({ usage }) => usage).filter(Boolean);
    assert.deepEqual(await usages(counted), [USAGE]);
    assert.deepEqual(await usages(CHAT), []);
  });

  it("has no usage for anybody when the stream brought none", async () => {
    const { cache } = openTestCache();
    await all(await cache.wrapStream(CHAT, chat().answer));
    const chunks = await all<JsonObject>(await cache.wrapStream({ ...CHAT, ...WITH_USAGE }, never));
    assert.equal(said(chunks), "It will rain.");
    assert.equal(chunks.some(({ usage }) => usage), false);
    assert.deepEqual((await cache.get(CHAT))!.usage, { promptTokens: null, completionTokens: null });
  });

  it("keeps several choices apart, and serves fewer of them", async () => {
    const { cache } = openTestCache();
    const [one, other] = [["Yes", "."], ["No", "."]].map((words, index) => chatChunks(words, { index }));
    const mixed = one!.flatMap((chunk, at) => [chunk, other![at]!]);
    await all(await cache.wrapStream({ ...CHAT, n: 2 }, () => Promise.resolve(new Source(mixed))));
    const both = await all(await cache.wrapStream({ ...CHAT, n: 2 }, never));
    assert.deepEqual([said(both, 0), said(both, 1)], ["Yes.", "No."]);
    assert.equal(said(await all(await cache.wrapStream(CHAT, never))), "Yes.");
    assert.deepEqual(saidBy((await cache.get({ ...CHAT, n: 2 }))!.json()), ["Yes.", "No."]);
  });

  it("keeps each choice for itself when the provider gave more than were asked for", async () => {
    const { cache } = openTestCache();
    const both = ["Yes.", "No."].flatMap((word, index) => chatChunks([word], { index }));
    await all(await cache.wrapStream(CHAT, () => Promise.resolve(new Source([...both]))));
    const once = await all(await cache.wrapStream(CHAT, never));
    assert.deepEqual([said(once, 0), said(once, 1)], ["Yes.", ""]);
  });

  it("keeps parallel tool calls, reasoning, refusals and why it ended", async () => {
    const { cache } = openTestCache();
    const call = (index: number, piece: JsonObject): JsonObject => ({ tool_calls: [{ index, ...piece }] });
    const deltas: JsonObject[] = [
      { role: "assistant", reasoning_content: "Hm" },
      { reasoning_content: "m." },
      call(0, { id: "call_a", type: "function", function: { name: "rain", arguments: "" } }),
      call(1, { id: "call_b", type: "function", function: { name: "wind", arguments: "" } }),
      call(0, { function: { arguments: '{"day":' } }),
      call(1, { function: { arguments: '{"day":2}' } }),
      call(0, { function: { arguments: "1}" } }),
      { refusal: "I will" },
      { refusal: " not." },
    ];
    const chunk = (delta: JsonObject, finish_reason: string | null): JsonObject => ({
      choices: [{ index: 0, delta, finish_reason }],
    });
    const chunks = [...deltas.map((delta) => chunk(delta, null)), chunk({}, "tool_calls")];
    await all(await cache.wrapStream(CHAT, () => Promise.resolve(new Source(chunks))));
    const [choice] = ((await cache.get(CHAT))!.json() as { choices: JsonObject[] }).choices;
    assert.deepEqual(choice, {
      index: 0,
      message: {
        role: "assistant",
        content: null,
        reasoning_content: "Hmm.",
        refusal: "I will not.",
        tool_calls: [
          { id: "call_a", type: "function", function: { name: "rain", arguments: '{"day":1}' } },
          { id: "call_b", type: "function", function: { name: "wind", arguments: '{"day":2}' } },
        ],
      },
      finish_reason: "tool_calls",
    });
    assert.deepEqual(await all(await cache.wrapStream(CHAT, never)), chunks);
  });

  it("understands completions", async () => {
    const { cache } = openTestCache();
    const scope = { endpoint: "/v1/completions" };
    const body = { model: "gpt-3.5-turbo-instruct", prompt: "Will it rain?", stream: true };
    const chunks = ["It", " will."].map((text, at) => ({
      id: "cmpl-7",
      object: "text_completion",
      choices: [{ index: 0, text, logprobs: null, finish_reason: at === 1 ? "stop" : null }],
    }));
    await all(await cache.wrapStream(body, () => Promise.resolve(new Source(chunks)), scope));
    assert.deepEqual(await all(await cache.wrapStream(body, never, scope)), chunks);
    const whole = (await cache.get(body, scope))!.json() as { choices: { text: string }[] };
    assert.equal(whole.choices[0]!.text, "It will.");
  });

  for (const [name, scope, body, , answer] of KINDS) {
    it(`understands ${name}, either way`, async () => {
      const { cache } = openTestCache();
      const events = name === "messages" ? messageEvents() : responseEvents();
      await all(await cache.wrapStream(body, () => Promise.resolve(new Source(events)), scope));
      assert.deepEqual(await all(await cache.wrapStream(body, never, scope)), events);
      assert.deepEqual((await cache.get(body, scope))!.json(), answer);
      await cache.clear();
      await cache.put(body, answer, scope);
      const made = await all<JsonObject>(await cache.wrapStream(body, never, scope));
      assert.deepEqual([made[0]!.type, made.at(-1)!.type], [events[0]!.type, events.at(-1)!.type]);
    });
  }

  it("gives a copy to everybody but the one who bought it", async () => {
    const { cache } = openTestCache();
    const source = new Source(chatChunks(RAIN));
    for await (const chunk of await cache.wrapStream<JsonObject>(CHAT, () => Promise.resolve(source))) {
      chunk.choices = [];
    }
    assert.equal(said(await all(await cache.wrapStream(CHAT, never))), "It will rain.");
  });
});

describe("ResponseCache.wrapEvents", () => {
  const source = (text: string, size?: number) => new Source(inPieces(text, size));

  it("passes the provider's bytes on untouched, comments and line ends and all", async () => {
    const { cache } = openTestCache();
    const text = ": OPENROUTER PROCESSING\r\n\r\n" + chatText(chatChunks(["größe", " 😀"])).replaceAll("\n", "\r\n");
    const bought = await textOf(await cache.wrapEvents(CHAT, () => Promise.resolve(source(text, 7))));
    assert.equal(bought, text);
    const stored = await textOf(await cache.wrapEvents(CHAT, never));
    assert.equal(stored, chatText(chatChunks(["größe", " 😀"])), "events as they were, line ends of one kind");
    assert.deepEqual(saidBy((await cache.get(CHAT))!.json()), ["größe 😀"]);
  });

  for (const size of [1, 2, 3, 5, 64, Infinity]) {
    it(`understands a stream cut into pieces of ${size} bytes`, async () => {
      const { cache } = openTestCache();
      const text = chatText(chatChunks(["日本語", "👩‍🚀", "\u2028"]));
      assert.equal(await textOf(await cache.wrapEvents(CHAT, () => Promise.resolve(source(text, size)))), text);
      assert.deepEqual(saidBy((await cache.get(CHAT))!.json()), ["日本語👩‍🚀\u2028"]);
    });
  }

  it("takes bytes from a ReadableStream, and reads it only as it is read", async () => {
    const { cache } = openTestCache();
    let pulls = 0;
    const pieces = inPieces(chatText(chatChunks(RAIN)), 64);
    const stream = new ReadableStream<Uint8Array>({
      pull(controller) {
        const piece = pieces[pulls++];
        if (piece === undefined) controller.close();
        else controller.enqueue(piece);
      },
    }, { highWaterMark: 0 });
    const events = await cache.wrapEvents(CHAT, () => Promise.resolve(stream));
    await new Promise((resolve) => setTimeout(resolve, 0));
    assert.equal(pulls, 0);
    const reader = events.getReader();
    await reader.read();
    assert.equal(pulls, 1);
    reader.releaseLock();
    assert.equal(pieces.length > 3, true);
    await all(events);
    assert.equal(said(await all(await cache.wrapStream(CHAT, never))), "It will rain.");
  });

  it("adds the end mark that an SDK keeps to itself, if the answer is whole", async () => {
    const { cache } = openTestCache();
    const chunks = chatChunks(RAIN);
    for (let i = 0; i < 2; i++) {
      const events = await cache.wrapEvents(CHAT, () => Promise.resolve(new Source(chunks)));
      assert.equal(await textOf(events), chatText(chunks));
    }
    const half = await cache.wrapEvents({ ...CHAT, seed: 1 }, () => Promise.resolve(new Source(chunks.slice(0, 2))));
    assert.equal((await textOf(half)).includes("[DONE]"), false);
  });

  it("stores a stream without its end mark, once the source has ended", async () => {
    const { cache } = openTestCache();
    const text = chatText(chatChunks(RAIN)).replace("data: [DONE]\n\n", "").trimEnd();
    assert.equal(await textOf(await cache.wrapEvents(CHAT, () => Promise.resolve(source(text)))), text);
    assert.deepEqual(saidBy((await cache.get(CHAT))!.json()), ["It will rain."]);
  });

  it("serves chunks and bytes from one entry", async () => {
    const { cache } = openTestCache();
    await all(await cache.wrapEvents(CHAT, () => Promise.resolve(source(chatText(chatChunks(RAIN)), 9))));
    assert.deepEqual(await all(await cache.wrapStream(CHAT, never)), chatChunks(RAIN));
    await cache.clear();
    await all(await cache.wrapStream(CHAT, chat().answer));
    assert.equal(await textOf(await cache.wrapEvents(CHAT, never)), chatText(chatChunks(RAIN)));
  });

  for (const [name, scope, body, text, answer] of KINDS) {
    it(`understands ${name}`, async () => {
      const { cache } = openTestCache();
      assert.equal(await textOf(await cache.wrapEvents(body, () => Promise.resolve(source(text, 11)), scope)), text);
      assert.equal(await textOf(await cache.wrapEvents(body, never, scope)), text);
      assert.deepEqual((await cache.get(body, scope))!.json(), answer);
    });
  }
});
