/** Events for operators: what is kept for those who follow them, and what becomes of those who read slowly. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { adminEventBody } from "../../src/http/admin/admin_event.ts";
import { EventRing, type Place } from "../../src/http/admin/event_ring.ts";
import { eventResponse } from "../../src/http/admin/event_stream.ts";
import { Orders, within } from "../../src/http/admin/orders.ts";
import { HEARTBEAT } from "../../src/http/sse.ts";
import { ModelError } from "../../src/model/error.ts";
import { ManualClock } from "../../src/testing/manual_clock.ts";
import type { WarmEvent } from "../../src/warm/backend_cache.ts";
import { parseModelName } from "../../src/warm/spec.ts";

const about = { base: "one", identity: "abc" };

/** A ring, and how to make things happen. */
function ringOf(size?: number) {
  const clock = new ManualClock();
  let tell: (event: WarmEvent) => void = () => {};
  const backends = {
    on: (listener: (event: WarmEvent) => void) => {
      tell = listener;
      return () => {};
    },
  };
  const ring = new EventRing(backends, clock, size);
  /** A number of evictions that can be told apart. */
  const happen = (count: number): void => {
    for (let bytes = 0; bytes < count; bytes++) tell({ type: "loading", ...about, bytes, waitedSeconds: 0 });
  };
  return { ring, clock, happen };
}

/** Lets whoever has something to do begin to wait. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}

/** All that is told from a place on. */
function readAll(ring: EventRing, from: Place) {
  const events = [];
  for (let found = ring.read(from); found !== undefined; found = ring.read(found.next)) events.push(found.event);
  return events;
}

describe("EventRing", () => {
  it("tells everybody who follows from a place what happened since", () => {
    const { ring, happen } = ringOf();
    const before = ring.placeAfter(undefined);
    happen(2);
    const between = ring.placeAfter(undefined);
    happen(1);
    assert.deepEqual([before, between].map((place) => readAll(ring, place).length), [3, 1]);
    assert.deepEqual(readAll(ring, ring.placeAfter(undefined)), []);
  });

  it("goes on after any event by its id", () => {
    const { ring, happen } = ringOf();
    happen(4);
    const events = readAll(ring, 1);
    for (const [index, { id }] of events.entries()) {
      assert.deepEqual(readAll(ring, ring.placeAfter(id)), events.slice(index + 1));
    }
  });

  it("keeps so many events and no more, and tells how many are missed", () => {
    const { ring, happen } = ringOf(8);
    happen(20);
    const [gap, ...rest] = readAll(ring, 1);
    assert.deepEqual([gap!.type, (gap as { missed?: unknown }).missed], ["gap", 12]);
    assert.deepEqual(rest.map((event) => (event as { bytes?: number }).bytes), [12, 13, 14, 15, 16, 17, 18, 19]);
    assert.deepEqual(readAll(ring, ring.placeAfter(gap!.id)), rest, "whoever is cut off after the gap misses no more");
  });

  it("knows the events of another server, and of the future, for none of its own", () => {
    const { ring, happen } = ringOf();
    happen(1);
    const { id } = readAll(ring, 1)[0]!;
    const epoch = id.split("-")[0];
    for (const foreign of ["", "1", "zz-1", `${epoch}-2`, `${epoch}-1.5`, `${epoch}--1`, `${epoch}-1e3`, "💥"]) {
      assert.equal(ring.placeAfter(foreign), "lost", foreign);
    }
    assert.deepEqual(readAll(ring, "lost").map(({ type }) => type), ["gap", "loading"]);
    assert.equal(ring.placeAfter(ring.connected("lost").id), "lost");
  });

  it("calls whoever waits for the next event once, unless he no longer does", () => {
    const { ring, happen } = ringOf();
    let calls = 0;
    ring.onceAdded(() => calls++);
    ring.onceAdded(() => calls++)();
    happen(2);
    assert.equal(calls, 1);
  });
});

describe("eventResponse", () => {
  const decoder = new TextDecoder();

  function followed(size?: number) {
    const { ring, clock, happen } = ringOf(size);
    const over = new AbortController();
    const reader = eventResponse(ring, { clock, lastEventId: undefined, signal: over.signal }).body!.getReader();
    const read = async (): Promise<string | undefined> => {
      const { value } = await reader.read();
      return value && decoder.decode(value);
    };
    return { clock, happen, over, reader, read };
  }

  it("sends an event as its id, its type and its data", async () => {
    const { happen, read, over } = followed();
    assert.match((await read())!, /^retry: 2000\n\nid: [0-9a-z]+-0\nevent: connected\ndata: \{.*\}\n\n$/);
    happen(1);
    const [id, event, data, ...rest] = (await read())!.split("\n");
    assert.deepEqual([event, rest], ["event: loading", ["", ""]]);
    const told = JSON.parse(data!.slice("data: ".length));
    assert.equal(id, `id: ${told.id}`);
    assert.deepEqual([told.type, told.base, told.identity, told.bytes], ["loading", "one", "abc", 0]);
    over.abort();
  });

  it("says something at least every five seconds", async () => {
    const { clock, read, over } = followed();
    await read();
    for (let beat = 0; beat < 3; beat++) {
      const next = read();
      await turn();
      clock.advance(HEARTBEAT);
      assert.equal(await next, ": nothing new\n\n");
    }
    over.abort();
  });

  it("keeps nothing for whoever does not read, and tells him what he missed", async () => {
    const { clock, happen, read, over } = followed(8);
    happen(1000);
    clock.advance(100 * HEARTBEAT);
    assert.match((await read())!, /connected/);
    // One event lay ready before the others happened.
    const told = [];
    for (let text; (text = (await read())!).startsWith("id");) {
      told.push(JSON.parse(text.split("data: ")[1]!));
      if (told.at(-1).bytes === 999) break;
    }
    assert.ok(told.length <= 10, `${told.length} were kept`);
    const gap = told.find(({ type }) => type === "gap");
    assert.equal(gap.missed + told.length - 1, 1000, "each is told, or told to be missed");
    over.abort();
  });

  it("ends at once when it is to, even for whoever does not read", async () => {
    const { over, reader } = followed();
    over.abort();
    await reader.read();
    assert.equal((await reader.read()).done, true);
    await reader.closed;
  });

  it("ends before it begins where the server has ended", async () => {
    const { ring, clock } = ringOf();
    const text = await eventResponse(ring, { clock, lastEventId: undefined, signal: AbortSignal.abort() }).text();
    assert.match(text, /connected/);
  });

  it("forgets whoever has gone", async () => {
    const { happen, read, reader, over } = followed();
    await read();
    await reader.cancel();
    happen(3);
    over.abort();
    assert.equal(await read(), undefined);
  });
});

describe("adminEventBody", () => {
  const error = new ModelError("model_load_failed", "broken");

  it("tells when a failed load may be tried again", () => {
    const failed = (retryAt: number | null) => adminEventBody({ type: "load_failed", ...about, error, retryAt });
    const told = { type: "load_failed", ...about, error: { code: "model_load_failed", message: "broken" } };
    assert.deepEqual(failed(0), { ...told, retry_at: "1970-01-01T00:00:00.000Z", permanent: false });
    assert.deepEqual(failed(Infinity), { ...told, retry_at: null, permanent: true });
    assert.deepEqual(failed(null), { ...told, retry_at: null, permanent: false });
  });

  it("has underscores", () => {
    const times = { idleSeconds: 1, loadSeconds: 2, ageSeconds: 3, closeSeconds: 5 };
    assert.deepEqual(adminEventBody({ type: "evicted", ...about, reason: "idle", bytes: 4, ...times }), {
      type: "evicted",
      ...about,
      reason: "idle",
      bytes: 4,
      idle_seconds: 1,
      load_seconds: 2,
      age_seconds: 3,
      close_seconds: 5,
    });
  });

  it("tells of what went wrong what can be said", () => {
    assert.deepEqual(adminEventBody({ type: "worker_lost", ...about, error: undefined }), {
      type: "worker_lost",
      ...about,
      error: null,
    });
    for (const [error, said] of [[new Error("gone"), "gone"], ["text", "text"], [undefined, "undefined"]] as const) {
      assert.deepEqual(adminEventBody({ type: "close_failed", ...about, error }), {
        type: "close_failed",
        ...about,
        error: { code: null, message: said },
      });
    }
  });
});

describe("Orders", () => {
  const spec = parseModelName("one");

  it("joins orders that are the same, and keeps others apart", async () => {
    const orders = new Orders(new ManualClock(), () => {});
    const { promise, resolve } = Promise.withResolvers<boolean>();
    let begun = 0;
    const work = (): Promise<boolean> => {
      begun++;
      return promise;
    };
    const same = [1, 2].map(() => orders.give("load", spec, { keepAlive: 1 }, work));
    assert.equal(same[0], same[1]);
    orders.give("load", spec, { keepAlive: 2 }, work);
    orders.give("unload", spec, { keepAlive: 1 }, work);
    assert.equal(begun, 3);
    assert.deepEqual(orders.pending("one").map(({ action }) => action), ["load", "load", "unload"]);
    resolve(true);
    assert.equal(await same[0], true);
    assert.deepEqual(orders.pending("one"), []);
  });

  it("remembers why the last one came to nothing until another is given", async () => {
    const reported: unknown[] = [];
    const orders = new Orders(new ManualClock(), (error) => reported.push(error));
    const error = new ModelError("no_room", "full");
    await assert.rejects(orders.give("pin", spec, {}, () => Promise.reject(error)), error);
    const { action, code, message } = orders.failed("one")!;
    assert.deepEqual([action, code, message], ["pin", "no_room", "full"]);
    assert.deepEqual(reported, [error]);
    await orders.give("load", spec, {}, () => Promise.resolve(true));
    assert.equal(orders.failed("one"), undefined);
  });

  it("refuses more than can wait together", () => {
    const orders = new Orders(new ManualClock(), () => {});
    const give = (name: number) => orders.give("load", parseModelName(`m${name}`), {}, () => new Promise(() => {}));
    for (let name = 0; name < 256; name++) give(name);
    assert.throws(() => give(256), { status: 429, code: "too_many_orders" });
    give(0);
  });
});

describe("within", () => {
  it("gives what comes in time, else nothing, and passes on what goes wrong", async () => {
    const clock = new ManualClock();
    const { signal } = new AbortController();
    assert.equal(await within(Promise.resolve(1), { clock, time: 10, signal }), 1);
    await assert.rejects(within(Promise.reject(new Error("no")), { clock, time: 10, signal }), { message: "no" });
    const late = within(new Promise(() => {}), { clock, time: 10, signal });
    clock.advance(10);
    assert.equal(await late, undefined);
    const gone = within(new Promise(() => {}), { clock, time: 10, signal: AbortSignal.abort() });
    assert.equal(await gone, undefined);
  });
});
