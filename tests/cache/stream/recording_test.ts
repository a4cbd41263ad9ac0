/** Streams as they are stored: what is kept of them, at what pace they are sent again, and what they answer as JSON. */

import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import { describe, it } from "node:test";
import { decodeText, encodeText } from "../../../src/cache/json.ts";
import { chatCompletions } from "../../../src/cache/stream/chat_completions.ts";
import {
  RECORDED_MEDIA_TYPE,
  recordedAnswer,
  recordedEvents,
  Recorder,
  replay,
} from "../../../src/cache/stream/recording.ts";
import type { SseEvent } from "../../../src/cache/stream/sse.ts";
import { CacheError } from "../../../src/store/error.ts";
import { ManualClock } from "../../store/manual_clock.ts";
import { chatAnswer, Maker, ONE, parseInPieces, sseBytes } from "./support.ts";

const EVENTS: readonly (readonly [event: SseEvent, at: number])[] = [
  [{ event: "ping", data: "{}" }, 10],
  [{ data: '{"é":"🦊"}' }, 25],
  [{ data: "two\nlines" }, 25],
  [{ data: "[DONE]" }, 1000],
];

function recorded(events: readonly (readonly [event: SseEvent, at: number])[] = EVENTS): Uint8Array {
  const recorder = new Recorder();
  for (const [event, at] of events) recorder.add(event, at);
  assert.equal(recorder.byteLength, recorder.bytes().length);
  return recorder.bytes();
}

describe("Recorder", () => {
  it("makes an event stream that every client can read", () => {
    assert.equal(RECORDED_MEDIA_TYPE, "text/event-stream");
    assert.deepEqual(parseInPieces(recorded(), 5), EVENTS.map(([event]) => event));
  });

  it("notes before each event when it came, in whole milliseconds", () => {
    const bytes = recorded([[{ event: "ping", data: "{}" }, 9.6], [{ data: "1" }, 412.4]]);
    assert.equal(decodeText(bytes), ": warmcache 10\nevent: ping\ndata: {}\n\n: warmcache 412\ndata: 1\n\n");
  });

  it("does not let time go back", () => {
    const times = [...recordedEvents(recorded([[{ data: "1" }, 5], [{ data: "2" }, 3], [{ data: "3" }, -1]]))];
    assert.deepEqual(times.map(({ at }) => at), [5, 5, 5]);
  });

  it("makes an empty stream of no event", () => {
    assert.equal(recorded([]).length, 0);
    assert.deepEqual([...recordedEvents(recorded([]))], []);
  });
});

describe("recordedEvents", () => {
  it("gives the events and their times", () => {
    assert.deepEqual([...recordedEvents(recorded())], EVENTS.map(([event, at]) => ({ event, at })));
  });

  it("reads many events as well as few", () => {
    const many = Array.from({ length: 5000 }, (_, at) => [{ data: `${at} ${"x".repeat(at % 97)}` }, at] as const);
    assert.deepEqual([...recordedEvents(recorded(many))], many.map(([event, at]) => ({ event, at })));
  });

  it("takes an event without a time for as old as the one before it", () => {
    const bytes = encodeText("data: 1\n\n: warmcache 7\ndata: 2\n\n: warmcache soon\ndata: 3\n\n");
    assert.deepEqual([...recordedEvents(bytes)].map(({ at }) => at), [0, 7, 7]);
  });

  it("refuses what is no UTF-8", () => {
    const bytes = Uint8Array.of(...recorded(), ...encodeText("data: "), 0xff, 0x0a, 0x0a);
    assert.throws(() => [...recordedEvents(bytes)], isCorrupt);
  });
});

describe("replay", () => {
  it("sends everything at once", async () => {
    const clock = new ManualClock();
    const events = await Array.fromAsync(replay(recorded(), { pace: "at_once", clock }));
    assert.deepEqual(events, EVENTS.map(([event]) => event));
  });

  it("sends each event when as much time has passed as when it came", async () => {
    const clock = new ManualClock();
    const got: string[] = [];
    const reading = (async () => {
      for await (const { data } of replay(recorded(), { pace: "recorded", clock })) got.push(data);
    })();
    await setImmediate();
    assert.deepEqual(got, []);
    clock.advance(10);
    await setImmediate();
    assert.deepEqual(got, ["{}"]);
    clock.advance(15);
    await setImmediate();
    assert.deepEqual(got, ["{}", '{"é":"🦊"}', "two\nlines"]);
    clock.advance(974);
    await setImmediate();
    assert.equal(got.length, 3);
    clock.advance(1);
    await reading;
    assert.equal(got.length, 4);
  });

  it("does not wait again for time that the reader has taken", async () => {
    const clock = new ManualClock();
    const events = replay(recorded(), { pace: "recorded", clock });
    const first = events.next();
    clock.advance(2000);
    await first;
    for (let rest = 3; rest > 0; rest--) assert.equal((await events.next()).done, false);
    assert.equal((await events.next()).done, true);
  });

  it("leaves out what is not for this caller, and does not wait for it", async () => {
    const clock = new ManualClock();
    const events = replay(recorded(), { pace: "recorded", clock, trim: ({ data }) => data !== "{}" });
    const first = events.next();
    clock.advance(25);
    assert.equal((await first).value!.data, '{"é":"🦊"}');
  });

  it("ends with the signal's reason while it waits", async () => {
    const controller = new AbortController();
    const events = replay(recorded(), { pace: "recorded", clock: new ManualClock(), signal: controller.signal });
    const first = events.next();
    controller.abort(new Error("gone"));
    await assert.rejects(first, /gone/);
    assert.equal((await events.next()).done, true);
  });

  it("ends with the signal's reason between events", async () => {
    const controller = new AbortController();
    const events = replay(recorded(), { pace: "at_once", clock: new ManualClock(), signal: controller.signal });
    await events.next();
    controller.abort(new Error("gone"));
    await assert.rejects(events.next(), /gone/);
  });

  it("fails where the recording is broken, not at its end", async () => {
    const bytes = Uint8Array.of(...encodeText("data: "), 0xff, 0x0a, 0x0a, ...recorded());
    await assert.rejects(replay(bytes, { pace: "at_once", clock: new ManualClock() }).next(), isCorrupt);
  });
});

describe("recordedAnswer", () => {
  it("is the answer that a call without stream would have had", () => {
    const answer = chatAnswer(new Maker(5), 1);
    const events = chatCompletions.disassemble(answer, { includeUsage: true });
    const bytes = recorded(events.map((event, at) => [event, at]));
    assert.deepEqual(recordedAnswer(bytes, chatCompletions, ONE), answer);
  });

  it("refuses a recording that is not complete, or none of the protocol", () => {
    const events = chatCompletions.disassemble(chatAnswer(new Maker(5), 1), { includeUsage: true });
    for (const stream of [events.slice(0, 1), [{ data: "{}" }], []]) {
      assert.throws(() => recordedAnswer(sseBytes(stream), chatCompletions, ONE), isCorrupt);
    }
  });
});

function isCorrupt(error: unknown): boolean {
  return error instanceof CacheError && error.code === "corrupt" && error.message.startsWith("Cannot read a recorded");
}
