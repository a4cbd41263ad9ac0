/** Event streams as bytes: line ends, fields, pieces cut anywhere, and streams that are not as they should be. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeText } from "../../../src/cache/json.ts";
import { formatEvent, MAX_EVENT_BYTES, type SseEvent, SseParser } from "../../../src/cache/stream/sse.ts";
import { CacheError } from "../../../src/store/error.ts";
import { parseInPieces } from "./support.ts";

describe("SseParser", () => {
  it("reads LF, CR and CRLF as line ends, mixed", () => {
    assert.deepEqual(parse("data: a\n\ndata: b\r\rdata: c\r\n\r\ndata: d\r\n\n"), ["a", "b", "c", "d"].map(ofData));
  });

  it("joins the data lines of an event with LF", () => {
    assert.deepEqual(parse("data: one\r\ndata:\r\ndata: three\r\n\r\n"), [{ data: "one\n\nthree" }]);
  });

  it("takes one space after the colon away, and no more", () => {
    assert.deepEqual(parse("data:a\n\ndata: b\n\ndata:  c\n\n"), ["a", "b", " c"].map(ofData));
  });

  it("names an event for its own data only, and by the last name given", () => {
    assert.deepEqual(parse("event: x\nevent: ping\ndata: 1\n\ndata: 2\n\nevent:\ndata: 3\n\n"), [
      { event: "ping", data: "1" },
      { data: "2" },
      { data: "3" },
    ]);
  });

  it("passes over an event without data, with its name", () => {
    assert.deepEqual(parse("event: lost\n\ndata: 1\n\n\n\n"), [{ data: "1" }]);
  });

  it("takes a field without colon as empty", () => {
    assert.deepEqual(parse("data\n\ndata\ndata\n\n"), [{ data: "" }, { data: "\n" }]);
  });

  it("passes over id, retry and fields that nobody knows", () => {
    assert.deepEqual(parse("id: 7\nretry: 10\ndata: 1\nDATA: 2\n data: 3\nnew: 4\n\n"), [{ data: "1" }]);
  });

  it("hands comments over, with the index of the event that follows", () => {
    const comments: unknown[] = [];
    const parser = new SseParser({ onComment: (text, index) => comments.push([text, index]) });
    const events = parser.push(encodeText(": OPENROUTER PROCESSING\n\ndata: 1\n:late\n\n:\ndata: 2\n\n"));
    assert.deepEqual(events, [{ data: "1" }, { data: "2" }]);
    assert.deepEqual(comments, [[" OPENROUTER PROCESSING", 0], ["late", 0], ["", 1]]);
  });

  it("drops a byte-order mark at the very beginning only", () => {
    assert.deepEqual(parse("\ufeffdata: 1\n\ndata: \ufeff2\n\n\ufeffdata: 3\n\n"), [{ data: "1" }, {
      data: "\ufeff2",
    }]);
  });

  it("counts the last event without its blank line, and without its line end", () => {
    assert.deepEqual(parse("data: 1\n\ndata: [DONE]\n"), ["1", "[DONE]"].map(ofData));
    assert.deepEqual(parse("data: 1\n\ndata: [DONE]"), ["1", "[DONE]"].map(ofData));
  });

  it("finds nothing in an empty stream and in comments", () => {
    assert.deepEqual(parse(""), []);
    assert.deepEqual(parse(": nothing\n\n"), []);
  });

  it("reads the same however the bytes are cut", () => {
    const bytes = encodeText(
      '\ufeffevent: ü\r\ndata: 日本\r\ndata: 🦊\r\n\r\n: c\r\rdata: {"é":1}\n\nevent: z\r\ndata: [DONE]\r\n',
    );
    const whole = parseInPieces(bytes, bytes.length);
    assert.deepEqual(whole, [
      { event: "ü", data: "日本\n🦊" },
      { data: '{"é":1}' },
      { event: "z", data: "[DONE]" },
    ]);
    for (let size = 1; size < bytes.length; size++) assert.deepEqual(parseInPieces(bytes, size), whole);
    for (let cut = 0; cut <= bytes.length; cut++) {
      const parser = new SseParser();
      const events = [bytes.slice(0, cut), new Uint8Array(), bytes.slice(cut)].flatMap((piece) => parser.push(piece));
      assert.deepEqual([...events, ...parser.end()], whole, `cut at ${cut}`);
    }
  });

  it("leaves the caller its bytes", () => {
    const parser = new SseParser();
    const buffer = encodeText("data: ab");
    parser.push(buffer);
    buffer.fill(0);
    assert.deepEqual(parser.push(encodeText("c\n\n")), [{ data: "abc" }]);
  });

  it("returns each event as soon as its blank line is there", () => {
    const parser = new SseParser();
    assert.deepEqual(parser.push(encodeText("data: 1\r\n\r")), [{ data: "1" }]);
    assert.deepEqual(parser.push(encodeText("\ndata: 2\n")), []);
    assert.deepEqual(parser.push(encodeText("\n")), [{ data: "2" }]);
  });

  it("reads what is no UTF-8 as every client does, and says so", () => {
    const parser = new SseParser();
    assert.deepEqual(parser.push(encodeText("data: \ufffd\n\n")), [{ data: "\ufffd" }]);
    assert.equal(parser.isWellFormed, true);
    assert.deepEqual(parser.push(Uint8Array.of(...encodeText("data: "), 0xc3, 0x0a, 0x0a)), [{ data: "\ufffd" }]);
    assert.equal(parser.isWellFormed, false);
  });

  it("refuses a line without end", () => {
    const parser = new SseParser();
    parser.push(encodeText("data: "));
    const piece = new Uint8Array(MAX_EVENT_BYTES / 4).fill(0x61);
    for (let i = 0; i < 3; i++) parser.push(piece);
    assert.throws(() => parser.push(piece), isTooLarge);
  });

  it("refuses an event without end", () => {
    const parser = new SseParser();
    const line = encodeText(`data: ${"a".repeat(MAX_EVENT_BYTES / 4)}\n`);
    for (let i = 0; i < 3; i++) parser.push(line);
    assert.throws(() => parser.push(line), isTooLarge);
  });

  it("reads many events at once, however many", () => {
    const event = `data: ${"a".repeat(MAX_EVENT_BYTES / 2)}\n\n`;
    assert.equal(new SseParser().push(encodeText(event.repeat(3))).length, 3);
  });

  it("reads for ever when comments and events stay small", () => {
    const parser = new SseParser();
    const comment = encodeText(`: ${"a".repeat(MAX_EVENT_BYTES / 4)}\n`);
    for (let i = 0; i < 6; i++) parser.push(comment);
    assert.deepEqual(parser.push(encodeText("data: 1\n\n")), [{ data: "1" }]);
  });
});

describe("formatEvent", () => {
  it("writes what a parser reads", () => {
    const events: SseEvent[] = [
      { data: "" },
      { data: " leading" },
      { event: "ping", data: "{}" },
      { data: "two\nlines\n" },
      { data: "日本 🦊" },
    ];
    assert.deepEqual(parse(events.map(formatEvent).join("")), events);
  });

  it("writes LF whatever the data's line ends are", () => {
    assert.equal(formatEvent({ event: "e", data: "a\r\nb\rc" }), "event: e\ndata: a\ndata: b\ndata: c\n\n");
  });
});

function parse(text: string): SseEvent[] {
  return parseInPieces(encodeText(text), 1 << 20);
}

function ofData(data: string): SseEvent {
  return { data };
}

function isTooLarge(error: unknown): boolean {
  return error instanceof CacheError && error.code === "corrupt" && error.message.includes("67108864");
}
