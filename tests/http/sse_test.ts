/** Event streams: their wire form, an error in the middle, a client that goes away. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ModelError } from "../../src/model/error.ts";
import { eventStream, type EventStreamOptions, HEARTBEAT } from "../../src/http/sse.ts";
import { ManualClock } from "../../src/testing/manual_clock.ts";
import { gate } from "../support/gate.ts";

const QUIET: EventStreamOptions = {
  headers: {},
  report: unexpected,
  clock: new ManualClock(),
  comment: () => "still there",
};

describe("eventStream", () => {
  it("sends one event per chunk and [DONE]", async () => {
    const response = eventStream(chunks({ a: 1 }, { b: "é\n" }), { ...QUIET, headers: { "X-Test": "1" } });
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
    const text = await eventStream(failing, { ...QUIET, report: (error) => reports.push(error) }).text();
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
    const reader = eventStream(endless, QUIET).body!.getReader();
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
    const options = { ...QUIET, report: (error: unknown) => reports.push(error), leave: () => model.open() };
    const reader = eventStream(waiting, options).body!.getReader();
    await reader.read();
    await model.reached;
    // What it waits for is ended by leaving.
    await reader.cancel();
    assert.deepEqual(reports, []);
  });

  it("sends comments while there is nothing to send: at once, and again when it has been silent for long", async () => {
    const clock = new ManualClock();
    const model = gate();
    const loading = (async function* () {
      await model.pass();
      yield { a: 1 };
    })();
    let left = 12;
    const comment = () => `loading, ${left} s left`;
    const reader = eventStream(loading, { ...QUIET, clock, comment }).body!.getReader();
    const next = async () => new TextDecoder().decode((await reader.read()).value);
    assert.equal(await next(), ": loading, 12 s left\n\n");
    const second = next();
    left = 7;
    await turns();
    clock.advance(HEARTBEAT);
    assert.equal(await second, ": loading, 7 s left\n\n");
    model.open();
    assert.equal(await next(), 'data: {"a":1}\n\n');
    assert.equal(await next(), "data: [DONE]\n\n");
    assert.equal((await reader.read()).done, true);
  });

  it("sends no comment to whoever does not read", async () => {
    const clock = new ManualClock();
    const model = gate();
    const waiting = (async function* () {
      await model.pass();
      yield { a: 1 };
    })();
    const reader = eventStream(waiting, { ...QUIET, clock }).body!.getReader();
    for (let beat = 0; beat < 5; beat++) {
      await turns();
      clock.advance(HEARTBEAT);
    }
    await turns();
    model.open();
    const texts = [];
    for (let next; !(next = await reader.read()).done;) texts.push(new TextDecoder().decode(next.value));
    assert.deepEqual(texts, [": still there\n\n", 'data: {"a":1}\n\n', "data: [DONE]\n\n"]);
  });

  it("asks for no more than the client reads", async () => {
    let produced = 0;
    const counting = (async function* () {
      for (;;) yield { i: ++produced };
    })();
    const reader = eventStream(counting, QUIET).body!.getReader();
    for (let i = 0; i < 3; i++) await reader.read();
    assert.ok(produced <= 4, `one chunk ahead at most: ${produced}`);
    await reader.cancel();
  });
});

async function* chunks(...values: object[]): AsyncGenerator<object> {
  for (const value of values) yield await Promise.resolve(value);
}

/** A few turns of the event loop: what can go on without the time going on has gone on. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise<void>((resolve) => new ManualClock().afterTurn(resolve));
}

function unexpected(error: unknown): never {
  throw error;
}
