/** Event streams: their wire form, an error in the middle, a client that goes away. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ModelError } from "../../src/model/error.ts";
import { eventStream } from "../../src/http/sse.ts";
import { gate } from "../support/gate.ts";

describe("eventStream", () => {
  it("sends one event per chunk and [DONE]", async () => {
    const response = eventStream(chunks({ a: 1 }, { b: "é\n" }), { "X-Test": "1" }, unexpected);
    assert.match(response.headers.get("Content-Type")!, /^text\/event-stream/);
    assert.equal(response.headers.get("X-Test"), "1");
    assert.equal(await response.text(), 'data: {"a":1}\n\ndata: {"b":"é\\n"}\n\ndata: [DONE]\n\n');
  });

  it("sends an error as an event in OpenAI's shape and no [DONE]", async () => {
    const reports: unknown[] = [];
    const failing = (async function* () {
      yield { a: 1 };
      throw new ModelError("worker_failed", "The Worker died");
    })();
    const text = await eventStream(failing, {}, (error) => reports.push(error)).text();
    const [, event, rest] = text.split("\n\n");
    assert.deepEqual(JSON.parse(event!.slice("data: ".length)), {
      error: { message: "The Worker died", type: "server_error", param: null, code: "worker_failed" },
    });
    assert.equal(rest, "");
    assert.equal(reports.length, 1);
  });

  it("ends the generation when the client goes away", async () => {
    let ended = false;
    const endless = (async function* () {
      try {
        for (let i = 0;; i++) yield { i };
      } finally {
        ended = true;
      }
    })();
    const reader = eventStream(endless, {}, unexpected).body!.getReader();
    await reader.read();
    await reader.cancel();
    assert.equal(ended, true);
  });

  it("says nothing when the client goes away while it waits for a chunk", async () => {
    const reports: unknown[] = [];
    const model = gate();
    const waiting = (async function* () {
      yield { a: 1 };
      await model.pass();
      throw new Error("the wait was ended");
    })();
    const reader = eventStream(waiting, {}, (error) => reports.push(error)).body!.getReader();
    await reader.read();
    await model.reached;
    const cancelled = reader.cancel();
    model.open();
    await cancelled;
    assert.deepEqual(reports, []);
  });

  it("asks for no more than the client reads", async () => {
    let produced = 0;
    const counting = (async function* () {
      for (;;) yield { i: ++produced };
    })();
    const reader = eventStream(counting, {}, unexpected).body!.getReader();
    for (let i = 0; i < 3; i++) await reader.read();
    assert.ok(produced <= 4, `one chunk ahead at most: ${produced}`);
    await reader.cancel();
  });
});

async function* chunks(...values: object[]): AsyncGenerator<object> {
  for (const value of values) yield await Promise.resolve(value);
}

function unexpected(error: unknown): never {
  throw error;
}
