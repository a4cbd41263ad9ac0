import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { sharedBytes } from "../../src/cache/answer/shared_bytes.ts";
import { servedBody } from "../../src/cache/exchange/served_body.ts";

/** Bytes that no other test has, and that repeat nowhere. */
function bytes(length: number, seed: number): Uint8Array<ArrayBuffer> {
  let state = seed;
  return Uint8Array.from({ length }, () => (state = Math.imul(state, 1664525) + 1013904223 >>> 0) >>> 24);
}

describe("sharedBytes", () => {
  it("gives all who have the same bytes the first one's", () => {
    const first = bytes(200_000, 1);
    assert.equal(sharedBytes(first), first);
    assert.equal(sharedBytes(first.slice()), first);
    assert.equal(sharedBytes(first), first);
  });

  it("finds them wherever they lie in memory", () => {
    const first = bytes(200_003, 2);
    assert.equal(sharedBytes(first), first);
    for (const offset of [1, 2, 3, 4]) {
      const moved = new Uint8Array(first.length + offset).subarray(offset);
      moved.set(first);
      assert.equal(sharedBytes(moved), first);
    }
  });

  it("keeps apart what differs in one byte anywhere, and in its length", () => {
    const first = bytes(150_001, 3);
    const kept = [sharedBytes(first)];
    for (const at of [0, 1, 77_777, 149_999, 150_000]) {
      const other = first.slice();
      other[at]! ^= 1;
      assert.equal(sharedBytes(other), other);
      kept.push(other);
    }
    const longer = new Uint8Array(first.length + 1);
    longer.set(first);
    assert.equal(sharedBytes(longer), longer);
    assert.equal(new Set(kept).size, 6);
  });

  it("leaves short ones alone", () => {
    const first = bytes(1000, 4);
    assert.equal(sharedBytes(first), first);
    const same = first.slice();
    assert.equal(sharedBytes(same), same);
  });
});

describe("servedBody", () => {
  it("gives what is short as it is", () => {
    const short = bytes(1024 * 1024 - 1, 5);
    assert.equal(servedBody(short), short);
  });

  for (const length of [1024 * 1024, 1024 * 1024 + 1, 3 * 1024 * 1024 - 1]) {
    it(`gives ${length} bytes in pieces, all of them in order`, async () => {
      const long = bytes(length, length);
      const body = servedBody(long);
      assert.ok(body instanceof ReadableStream);
      assert.deepEqual(new Uint8Array(await new Response(body).arrayBuffer()), long);
    });
  }

  it("makes a piece when it is read, of the reader's own", async () => {
    const long = bytes(2 * 1024 * 1024, 6);
    const [one, other] = [servedBody(long), servedBody(long.slice())].map((body) =>
      (body as ReadableStream<Uint8Array>).getReader()
    );
    const { value } = await one!.read();
    assert.equal(value!.length, 64 * 1024);
    assert.equal(value!.buffer.byteLength, 64 * 1024);
    value!.fill(0);
    assert.deepEqual((await other!.read()).value, bytes(64 * 1024, 6));
    // What comes is not there before it is asked for: it would be seen to be of another time.
    long.fill(7, 64 * 1024);
    assert.ok((await one!.read()).value!.every((byte) => byte === 7));
    assert.ok((await other!.read()).value!.every((byte) => byte === 7));
    await one!.cancel();
  });
});
