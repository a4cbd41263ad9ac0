import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { KeyedRequest } from "../../src/cache/request/key.ts";
import { sketchOf } from "../../src/cache/explain/sketch.ts";
import { SKETCH_BYTES } from "../../src/store/nearest.ts";

const SYSTEM = "You answer questions about the weather in short sentences and never guess. ".repeat(8);

function request(body: Record<string, unknown> = {}, scope: Partial<KeyedRequest> = {}): KeyedRequest {
  return {
    namespace: "",
    provider: "openai",
    endpoint: "/v1/chat/completions",
    identity: null,
    ...scope,
    body: {
      model: "gpt-4o-mini",
      messages: [{ role: "system", content: SYSTEM }, { role: "user", content: "Will it rain in Zürich tomorrow?" }],
      temperature: 0.5,
      ...body,
    },
  };
}

function user(content: unknown): Record<string, unknown> {
  return { messages: [{ role: "system", content: SYSTEM }, { role: "user", content }] };
}

/** Bits in which the sketches of two requests differ. */
function distance(one: KeyedRequest, other: KeyedRequest): number {
  const [a, b] = [sketchOf(one), sketchOf(other)];
  return a.reduce((sum, byte, index) => sum + (byte ^ b[index]!).toString(2).replaceAll("0", "").length, 0);
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

describe("sketchOf", () => {
  it("is stored, so it never changes", () => {
    assert.equal(hex(sketchOf(request())), "8da997753be0f791bc66a940ca17710f");
    assert.equal(
      hex(sketchOf(request({ ...user("明日、東京は雨ですか"), seed: null, stop: ["\n", "END"] }))),
      "9629d39931e072992c6a198c5985765e",
    );
    assert.equal(
      hex(sketchOf(request({}, { namespace: "a", identity: "sha256:0" }))),
      "8f2997f52be0f7933c66a940cb17518d",
    );
    assert.equal(
      hex(sketchOf(request(user(`${"A long document. ".repeat(2000)}What does it say?`)))),
      "8721d53b39e0d79d0c0e9aa48225f78f",
    );
  });

  it("has as many bytes as stores take", () => {
    assert.equal(sketchOf(request()).byteLength, SKETCH_BYTES);
    assert.equal(sketchOf({ ...request(), body: {} }).byteLength, SKETCH_BYTES);
  });

  it("is the same whatever the order of names", () => {
    const { body, ...scope } = request({ seed: 1, tools: [{ name: "a", type: "b" }] });
    const turned = Object.fromEntries(Object.entries({ ...body, tools: [{ type: "b", name: "a" }] }).reverse());
    assert.equal(distance({ ...scope, body }, { ...scope, body: turned }), 0);
  });

  it("is that of what would be sent", () => {
    const sent = request({ since: "2026-01-01T00:00:00.000Z", limit: 3 });
    const held = request({ since: new Date(Date.UTC(2026, 0, 1)), limit: new Number(3), gone: undefined });
    assert.equal(distance(held, sent), 0);
  });

  it("takes no notice of members that are no part of the key", () => {
    const record = { ...request(), key: new Uint8Array(32) };
    assert.equal(distance(record, request()), 0);
  });

  describe("is near for a request that differs in", () => {
    const other = distance(request(), request(user("Please write a poem on autumn leaves and old stone bridges.")));
    const cases: Record<string, KeyedRequest> = {
      "a parameter": request({ temperature: 0.7 }),
      "a parameter more": request({ seed: 7 }),
      "a few words of the system prompt": request({
        messages: [
          { role: "system", content: SYSTEM.replace("short sentences", "long verses") },
          { role: "user", content: "Will it rain in Zürich tomorrow?" },
        ],
      }),
      "a word of the prompt": request(user("Will it rain in Basel tomorrow?")),
      "the form of the prompt": request(user([{ type: "text", text: "Will it rain in Zürich tomorrow?" }])),
      "a message before the prompt": request({
        messages: [
          { role: "system", content: SYSTEM },
          { role: "user", content: "Good morning to you all." },
          { role: "user", content: "Will it rain in Zürich tomorrow?" },
        ],
      }),
      "the endpoint": request({}, { endpoint: "/v1/responses" }),
      "the namespace": request({}, { namespace: "experiment" }),
    };
    for (const [what, near] of Object.entries(cases)) {
      it(what, () => {
        const apart = distance(request(), near);
        assert.ok(apart < other - 8, `${apart} bits, another prompt ${other}`);
      });
    }
  });

  it("tells prompts apart that stand below the same long text", () => {
    const document = "The quick brown fox jumps over the lazy dog near the river bank. ".repeat(50);
    const asked = (question: string): KeyedRequest =>
      request(user([{ type: "text", text: document }, { type: "text", text: question }]));
    assert.ok(distance(asked("What colour has the fox?"), asked("Where is the dog lying?")) > 3);
  });

  it("sees a few characters change in a script without blanks", () => {
    const asked = request(user("明日の東京の天気はどうですか。雨は降りますか、それとも晴れますか。"));
    const near = request(user("明日の大阪の天気はどうですか。雨は降りますか、それとも晴れますか。"));
    const far = request(user("この文章を英語に翻訳してください。丁寧な表現を使ってほしいです。"));
    assert.ok(distance(asked, near) + 12 < distance(asked, far));
  });

  it("reads the prompt of every known contract", () => {
    const contracts: ((text: string) => Record<string, unknown>)[] = [
      (text) => ({ prompt: text }),
      (text) => ({ prompt: [text] }),
      (text) => ({ input: text }),
      (text) => ({ input: [{ role: "user", content: [{ type: "input_text", text }] }] }),
      (text) => ({ contents: [{ role: "user", parts: [{ text }] }] }),
      (text) => ({ unheard_of: { text } }),
    ];
    for (const contract of contracts) {
      const asked = (text: string): KeyedRequest => ({ ...request(), body: { model: "m", ...contract(text) } });
      const near = distance(asked("Will it rain in Zürich tomorrow?"), asked("Will it rain in Zürich on Monday?"));
      const far = distance(asked("Will it rain in Zürich tomorrow?"), asked("Write a poem about stone bridges."));
      assert.ok(near < far, `${JSON.stringify(contract(""))}: ${near} and ${far}`);
    }
  });

  it("costs no more for a larger text: beyond 8192 code units it reads both ends", () => {
    const text = (middle: string): string => `${"begin ".repeat(800)}${middle.repeat(10_000)}${"end ".repeat(1200)}`;
    assert.equal(distance(request(user(text("one "))), request(user(text("two ")))), 0);
    assert.notEqual(distance(request(user(text("one "))), request(user(`${text("one ")} What?`))), 0);
  });

  it("reads long lists at both ends", () => {
    const tokens = Array.from({ length: 2000 }, (_, index) => index);
    const asked = (list: number[]): KeyedRequest => ({ ...request(), body: { model: "m", prompt: list } });
    assert.equal(distance(asked(tokens), asked(tokens.with(1000, -1))), 0);
    assert.notEqual(distance(asked(tokens), asked([...tokens.slice(0, -40), ...tokens.slice(0, 40)])), 0);
  });

  it("takes what a caller's object may hold besides JSON", () => {
    const odd = { toString: undefined, __proto__: null, f: () => 1, s: Symbol("s"), list: [undefined, () => 1] };
    assert.equal(sketchOf(request({ odd })).byteLength, SKETCH_BYTES);
    let deep: unknown = "x";
    for (let level = 0; level < 500; level++) deep = [deep];
    assert.equal(sketchOf(request({ deep })).byteLength, SKETCH_BYTES);
  });
});
