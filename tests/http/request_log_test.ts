/** What the log tells of requests. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { requestLog } from "../../src/http/operations/request_log.ts";
import type { RequestRecord } from "../../src/http/operations/request_watch.ts";
import { loadRuntime } from "../../src/runtime/load.ts";

const RECORD: RequestRecord = {
  id: "0d5e",
  time: 0,
  method: "POST",
  route: "/v1/completions",
  status: 200,
  firstByteTime: 12.34,
  duration: 56.78,
  isStream: false,
  isAborted: false,
  provider: "local",
  model: "kjv-tiny",
  cache: "hit",
};

/** Lines of a log whose clock stands still until it is set. */
async function world() {
  const { clock } = await loadRuntime();
  let now = 0;
  const lines: { level: string; message: string; fields: Readonly<Record<string, unknown>> }[] = [];
  const write = (level: string, message: string, fields: Readonly<Record<string, unknown>>): void =>
    void lines.push({ level, message, fields });
  const log = requestLog({ ...clock, monotonic: () => now }, write);
  return { log: (facts: Partial<RequestRecord>) => log({ ...RECORD, ...facts }), lines, set: (to: number) => now = to };
}

describe("a request's line", () => {
  it("says who asked for what, how it ended and how long it took", async () => {
    const { log, lines } = await world();
    log({ keyId: "team-a", costMicrodollars: 42, savedLatency: 900, queueTime: 0.04 });
    assert.deepEqual(lines, [{
      level: "debug",
      message: "POST /v1/completions 200 in 57 ms, kjv-tiny, hit (0d5e)",
      fields: {
        event: "request",
        id: "0d5e",
        method: "POST",
        route: "/v1/completions",
        status: 200,
        duration_ms: 56.8,
        first_byte_ms: 12.3,
        stream: false,
        aborted: false,
        provider: "local",
        model: "kjv-tiny",
        cache: "hit",
        key: "team-a",
        error: undefined,
        cost_microdollars: 42,
        saved_ms: 900,
        queue_ms: 0,
      },
    }]);
  });

  for (
    const [what, facts, level] of [
      ["that went well", {}, "debug"],
      ["whose client left", { status: 499, isAborted: true }, "debug"],
      ["that was refused", { status: 400, errorCode: "invalid_request_error" }, "info"],
      ["that asked for too much", { status: 429, errorCode: "rate_limit_exceeded" }, "info"],
      ["that wanted nothing that is not stored", { status: 504, errorCode: "not_cached" }, "info"],
      ["that was told to ask again while its model loads", { status: 503, errorCode: "model_loading" }, "info"],
      ["that could not be served now", { status: 503, errorCode: "no_room" }, "warn"],
      ["whose upstream was silent", { status: 504, errorCode: "upstream_timeout" }, "warn"],
      ["whose provider failed", { provider: "openai", status: 500 }, "warn"],
      ["whose provider is not there", { provider: "openai", status: 502, errorCode: "upstream_unreachable" }, "warn"],
      ["that failed", { status: 500, errorCode: "server_error" }, "error"],
      ["whose stream broke off", { isStream: true, errorCode: "worker_failed" }, "warn"],
      ["whose answer took a minute to begin", { firstByteTime: 60_000 }, "warn"],
      ["whose stream took an hour to end", { isStream: true, duration: 3_600_000 }, "debug"],
    ] as const
  ) {
    it(`of one ${what} is ${level}`, async () => {
      const { log, lines } = await world();
      log(facts);
      assert.equal(lines[0]!.level, level);
    });
  }

  it("cuts off what is longer than a name", async () => {
    const { log, lines } = await world();
    log({ model: "please ".repeat(100), method: "X".repeat(500) });
    const { message, fields } = lines[0]!;
    assert.ok(message.length < 400);
    assert.equal((fields.model as string).length, 129);
  });

  it("is one of twenty a second at most; how many were left out is told with the next", async () => {
    const { log, lines, set } = await world();
    for (let each = 0; each < 25; each++) log({ status: 400 });
    assert.equal(lines.length, 20);
    log({});
    assert.equal(lines.length, 21, "those for who looks for something are not counted");
    set(1000);
    log({ status: 400 });
    const [leftOut, next] = lines.slice(21);
    assert.equal(leftOut!.level, "warn");
    assert.match(leftOut!.message, /^5 more requests/);
    assert.deepEqual(leftOut!.fields, { event: "requests_left_out", count: 5 });
    assert.equal(next!.fields.status, 400);
  });
});
