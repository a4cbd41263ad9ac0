/**
 * Streams: recorded once, given back in either form.
 *
 * @module
 */

import type { CacheStatus } from "../../cache/call_options.ts";
import type { JsonObject } from "../../cache/json.ts";
import { present, same } from "../assertions.ts";
import {
  chunksIn,
  chunksOf,
  eventText,
  piecesOf,
  said,
  sourceOf,
  STREAMED,
  textOf,
  USAGE,
  wordChunks,
} from "./chunks.ts";
import { answerOf, never, saidBy } from "./provider.ts";
import type { CacheSuite, Desk } from "./suite.ts";

const WORDS = ["It", " will", " rain"];
const ODD_WORDS = ["größer ", "🌧", "\n\r\n", "雨", ""];
const MESSAGES = { provider: "anthropic", endpoint: "/v1/messages" };
const WHOLE: JsonObject = { model: "gpt-4o-mini", messages: STREAMED.messages! };

const TOOL_CHUNKS = chunksOf([
  { reasoning_content: "Clouds. " },
  { reasoning_content: "Many." },
  { tool_calls: [{ index: 0, id: "call_1", type: "function", function: { name: "umbrella", arguments: "" } }] },
  { tool_calls: [{ index: 1, id: "call_2", type: "function", function: { name: "boots", arguments: '{"size"' } }] },
  { tool_calls: [{ index: 0, function: { arguments: '{"open":true}' } }] },
  { tool_calls: [{ index: 1, function: { arguments: ":42}" } }] },
], "tool_calls");

const CALLS = [
  { id: "call_1", type: "function", function: { name: "umbrella", arguments: '{"open":true}' } },
  { id: "call_2", type: "function", function: { name: "boots", arguments: '{"size":42}' } },
];

/** Registers the tests. */
export function testStreams({ describe, check }: CacheSuite): void {
  describe("a stream", () => {
    check("comes chunk by chunk, and again like that", async (desk) => {
      const chunks = wordChunks(...WORDS);
      same(await streamed(desk, chunks), chunks);
      same(await streamed(desk), chunks);
    });

    check("is answered in JSON to who asks so", async (desk) => {
      await streamed(desk, wordChunks(...WORDS));
      const answer = await desk.cache.wrap<JsonObject>(WHOLE, never);
      same(saidBy(answer), ["It will rain"]);
      same({ object: answer.object, model: answer.model, usage: answer.usage }, {
        object: "chat.completion",
        model: "gpt-4o-mini-2024-07-18",
        usage: USAGE,
      });
      same(present(await desk.cache.get(WHOLE), "the answer").usage, { promptTokens: 10, completionTokens: 4 });
    });

    check("is made of an answer that was stored as JSON", async (desk) => {
      await desk.cache.put(WHOLE, answerOf(["It will rain"], { usage: USAGE }));
      const chunks = await streamed(desk);
      same(said(chunks), "It will rain");
      same(chunks.at(-1)!.usage, USAGE);
    });

    check("keeps parallel calls of tools, reasoning and why it ended", async (desk) => {
      await streamed(desk, TOOL_CHUNKS);
      same(await streamed(desk), TOOL_CHUNKS);
      const { choices } = await desk.cache.wrap<JsonObject>(WHOLE, never);
      const [{ message, finish_reason }] = choices as unknown as [{ message: JsonObject; finish_reason: string }];
      same(finish_reason, "tool_calls");
      same(message.tool_calls, CALLS);
      same(message.reasoning_content, "Clouds. Many.");
    });

    for (const size of [1, 2, 3, 7, 100_000]) {
      for (const lineEnd of ["\n", "\r\n"]) {
        const ends = lineEnd === "\n" ? "" : ", with carriage returns";
        check(`of bytes is understood in pieces of ${size}${ends}`, async ({ cache }) => {
          const text = eventText(wordChunks(...ODD_WORDS), lineEnd);
          const events = await cache.wrapEvents(STREAMED, () => Promise.resolve(sourceOf(piecesOf(text, size))));
          same(await textOf(events), text);
          same(saidBy(await cache.wrap(WHOLE, never)), [ODD_WORDS.join("")]);
          same(chunksIn(await textOf(await cache.wrapEvents(STREAMED, never))), wordChunks(...ODD_WORDS));
        });
      }
    }

    check("of bytes ends with the provider's end mark when it comes from the store", async ({ cache }) => {
      const text = eventText(wordChunks(...WORDS));
      await textOf(await cache.wrapEvents(STREAMED, () => Promise.resolve(sourceOf(piecesOf(text, 50)))));
      const stored = await textOf(await cache.wrapEvents(STREAMED, never));
      same(stored.trimEnd().endsWith("data: [DONE]"), true, "whether it ends with [DONE]");
    });

    check("of chunks and one of bytes share an entry", async (desk) => {
      await streamed(desk, wordChunks(...WORDS));
      const text = await textOf(await desk.cache.wrapEvents(STREAMED, never));
      same(said(chunksIn(text)), "It will rain");
    });

    check("of another provider's is understood, either way", async ({ cache }) => {
      const body = { model: "claude-haiku-4-5", max_tokens: 99, messages: STREAMED.messages!, stream: true };
      const text = messageEvents().map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join("");
      const events = await cache.wrapEvents(body, () => Promise.resolve(sourceOf(piecesOf(text, 40))), MESSAGES);
      same(await textOf(events), text);
      const { stream: _, ...whole } = body;
      const message = await cache.wrap<JsonObject>(whole, never, MESSAGES);
      same([message.content, message.stop_reason], [[{ type: "text", text: "It will rain." }], "end_turn"]);
      same(chunksIn(await textOf(await cache.wrapEvents(body, never, MESSAGES))).at(-1), { type: "message_stop" });
    });

    check("is read along by who asks for the same meanwhile", async ({ cache }) => {
      let calls = 0;
      const produce = () => {
        calls++;
        return Promise.resolve(sourceOf(wordChunks(...WORDS)));
      };
      const readers = Array.from({ length: 5 }, async () => Array.fromAsync(await cache.wrapStream(STREAMED, produce)));
      for (const chunks of await Promise.all(readers)) same(chunks, wordChunks(...WORDS));
      same(calls, 1);
    });

    check("says how it fared when it has ended", async (desk) => {
      const statuses: CacheStatus[] = [{}, {}];
      await streamed(desk, wordChunks(...WORDS), statuses[0]);
      await streamed(desk, undefined, statuses[1]);
      same(statuses.map(({ outcome, stored }) => ({ outcome, stored })), [
        { outcome: "miss", stored: true },
        { outcome: "hit", stored: false },
      ]);
    });
  });
}

/** All chunks, from a provider that gives these; without them nobody may be asked. */
async function streamed({ cache }: Desk, chunks?: readonly JsonObject[], status?: CacheStatus): Promise<JsonObject[]> {
  const produce = chunks === undefined ? never : () => Promise.resolve(sourceOf(chunks));
  const options = status === undefined ? {} : { status };
  return await Array.fromAsync(await cache.wrapStream<JsonObject>(STREAMED, produce, options));
}

function messageEvents(): JsonObject[] {
  const message: JsonObject = {
    id: "msg_7",
    type: "message",
    role: "assistant",
    model: "claude-haiku-4-5",
    content: [],
    stop_reason: null,
    stop_sequence: null,
    usage: { input_tokens: 10, output_tokens: 1 },
  };
  return [
    { type: "message_start", message },
    { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
    { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "It will" } },
    { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: " rain." } },
    { type: "content_block_stop", index: 0 },
    { type: "message_delta", delta: { stop_reason: "end_turn", stop_sequence: null }, usage: { output_tokens: 4 } },
    { type: "message_stop" },
  ];
}
