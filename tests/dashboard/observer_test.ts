/** What the dashboard remembers: minutes, rankings, events, sessions. All of it is bounded. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import type { KeyHolder } from "../../src/http/auth.ts";
import { newsResponse } from "../../src/http/dashboard/events.ts";
import { Feed, KEPT_EVENTS } from "../../src/http/dashboard/feed.ts";
import { KEPT_MINUTES, Minutes } from "../../src/http/dashboard/minutes.ts";
import { RANKED, Rankings } from "../../src/http/dashboard/rankings.ts";
import { SESSION_TIME, Sessions } from "../../src/http/dashboard/sessions.ts";
import type { RequestRecord } from "../../src/http/operations/request_watch.ts";
import { ManualClock } from "../../src/testing/manual_clock.ts";
import type { WarmEvent } from "../../src/warm/backend_cache.ts";

const MINUTE = 60_000;

function record(facts: Partial<RequestRecord> = {}): RequestRecord {
  return {
    id: "request",
    time: 0,
    method: "POST",
    status: 200,
    firstByteTime: 1,
    duration: 1,
    isStream: false,
    isAborted: false,
    model: "m",
    ...facts,
  };
}

describe("Minutes", () => {
  it("counts lookups, hits and errors in the minute in which a request came", () => {
    const minutes = new Minutes();
    const now = 100 * MINUTE;
    minutes.add(record({ time: now, cache: "hit" }));
    minutes.add(record({ time: now + 59_999, cache: "shared" }));
    minutes.add(record({ time: now + 59_999, cache: "bypass" }));
    minutes.add(record({ time: now + MINUTE, cache: "miss", status: 502 }));
    minutes.add(record({ time: now, cache: "miss" }));
    const last = minutes.last(now + MINUTE);
    assert.equal(last.length, KEPT_MINUTES);
    assert.deepEqual(last.slice(-3), [
      { start: now - MINUTE, lookups: 0, hits: 0, errors: 0 },
      { start: now, lookups: 3, hits: 2, errors: 0 },
      { start: now + MINUTE, lookups: 1, hits: 0, errors: 1 },
    ]);
  });

  it("forgets what is over an hour old", () => {
    const minutes = new Minutes();
    for (let minute = 0; minute < 500; minute++) minutes.add(record({ time: minute * MINUTE, cache: "hit" }));
    minutes.add(record({ time: 3 * MINUTE, cache: "hit" }));
    assert.equal(minutes.last(499 * MINUTE).reduce((sum, { hits }) => sum + hits, 0), KEPT_MINUTES);
    assert.equal(minutes.last(10_000 * MINUTE).reduce((sum, { hits }) => sum + hits, 0), 0);
  });
});

describe("Rankings", () => {
  it("keeps the slowest, the dearest and the latest, so many and no more", () => {
    const rankings = new Rankings();
    for (let index = 0; index < 100; index++) {
      // In an order that is neither up nor down.
      const value = (index * 37) % 100;
      rankings.add(record({ id: String(index), duration: value, cache: "miss", costMicrodollars: 1000 - value }));
    }
    const { slowest, dearest, latest } = rankings.of(undefined);
    assert.deepEqual(slowest.map(({ duration }) => duration), Array.from({ length: RANKED }, (_, at) => 99 - at));
    assert.deepEqual(dearest.map(({ duration }) => duration), Array.from({ length: RANKED }, (_, at) => at));
    assert.deepEqual(latest.map(({ id }) => id), Array.from({ length: RANKED }, (_, at) => String(99 - at)));
  });

  it("takes no account of what was not paid, nor of requests that ask no model", () => {
    const rankings = new Rankings();
    rankings.add(record({ cache: "hit", costMicrodollars: 5000 }));
    rankings.add({ ...record({ duration: 1e6 }), model: undefined } as unknown as RequestRecord);
    const { slowest, dearest, latest } = rankings.of(undefined);
    assert.deepEqual([slowest.length, dearest.length, latest.length], [1, 0, 1]);
  });

  it("shows a key its own only, and those of all where all share", () => {
    const rankings = new Rankings();
    rankings.add(record({ id: "a", keyId: "alice", duration: 5 }));
    rankings.add(record({ id: "b", keyId: "bob", duration: 9 }));
    assert.deepEqual(rankings.of("alice").slowest.map(({ id }) => id), ["a"]);
    assert.deepEqual(rankings.of("carol").latest, []);
    assert.deepEqual(rankings.of(undefined).slowest.map(({ id }) => id), ["b", "a"]);
  });
});

const pinned = (base: string): WarmEvent => ({ type: "pinned", base, identity: "i" });

describe("Feed", () => {
  it("numbers what happens and keeps the last of it", () => {
    const feed = new Feed(new ManualClock());
    for (let index = 0; index < KEPT_EVENTS + 5; index++) feed.add(pinned(String(index)));
    assert.equal(feed.last, KEPT_EVENTS + 5);
    assert.equal(feed.after(0).length, KEPT_EVENTS);
    assert.deepEqual(feed.after(feed.last - 1).map(({ event }) => event.base), [String(KEPT_EVENTS + 4)]);
  });

  it("tells of requests once a second, however many there are", async () => {
    const clock = new ManualClock();
    const feed = new Feed(clock);
    let told = 0;
    for (let index = 0; index < 1000; index++) feed.pulse();
    feed.onceNew(() => told++);
    assert.equal(told, 0);
    await clock.advance(1000);
    assert.deepEqual([told, feed.pulses], [1, 1]);
  });
});

describe("newsResponse", () => {
  const follow = (feed: Feed, after: number, closing = new AbortController()) => {
    const response = newsResponse(feed, { clock: new ManualClock(), after, closing: closing.signal });
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    return { closing, read: async (): Promise<string | undefined> => (await reader.read()).value, reader };
  };

  it("tells what happened since, then what happens", async () => {
    const feed = new Feed(new ManualClock());
    feed.add(pinned("old"));
    feed.add(pinned("missed"));
    const { read, reader } = follow(feed, 1);
    assert.match((await read())!, /^retry: \d+\n\n$/);
    assert.equal(
      await read(),
      'id: 2\nevent: base\ndata: {"base":"missed","tone":"note","text":"missed is pinned"}\n\n',
    );
    const coming = read();
    feed.add(pinned("new"));
    assert.match((await coming)!, /^id: 3\n/);
    await reader.cancel();
  });

  it("ends when the server does, also for whoever does not read", async () => {
    const feed = new Feed(new ManualClock());
    const { closing, reader } = follow(feed, 0);
    feed.add(pinned("unread"));
    closing.abort();
    for (let next = await reader.read(); !next.done; next = await reader.read());
    const late = newsResponse(feed, { clock: new ManualClock(), after: 0, closing: closing.signal });
    await late.text();
  });
});

describe("Sessions", () => {
  const holder: KeyHolder = { id: "alice", scopes: new Set(["status"]), requestsPerMinute: undefined };
  const sha256 = (bytes: Uint8Array): Uint8Array => new Uint8Array(createHash("sha256").update(bytes).digest());

  it("begin with a token that nobody can guess, and end", () => {
    const sessions = new Sessions(new ManualClock(), sha256);
    const [one, other] = [sessions.begin(holder), sessions.begin(holder)];
    assert.match(one, /^[0-9a-f]{64}$/);
    assert.notEqual(one, other);
    assert.equal(sessions.holderOf(one), holder);
    for (const wrong of [undefined, "", one.slice(1), one.toUpperCase()]) {
      assert.equal(sessions.holderOf(wrong), undefined);
    }
    sessions.end(one);
    assert.equal(sessions.holderOf(one), undefined);
    assert.equal(sessions.holderOf(other), holder);
  });

  it("are over after 12 hours", async () => {
    const clock = new ManualClock();
    const sessions = new Sessions(clock, sha256);
    const token = sessions.begin(holder);
    await clock.advance(SESSION_TIME - 1);
    assert.equal(sessions.holderOf(token), holder);
    await clock.advance(1);
    assert.equal(sessions.holderOf(token), undefined);
  });

  it("are a thousand at most, of which the oldest gives way", () => {
    const sessions = new Sessions(new ManualClock(), sha256);
    const tokens = Array.from({ length: 1001 }, () => sessions.begin(holder));
    assert.equal(sessions.holderOf(tokens[0]), undefined);
    assert.equal(sessions.holderOf(tokens[1]), holder);
    assert.equal(sessions.holderOf(tokens[1000]), holder);
  });
});
