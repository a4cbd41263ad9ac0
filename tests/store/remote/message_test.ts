/** Values and messages as they go over the wire. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { loadChecksum } from "../../../src/codec/checksum.ts";
import { BadBytes, ByteReader, ByteWriter } from "../../../src/store/remote/bytes.ts";
import { byPlace, readMessage, writeMessage } from "../../../src/store/remote/message.ts";

const checksum = await loadChecksum();

describe("ByteWriter", () => {
  it("writes what a reader reads, wherever it needs more room", () => {
    for (let before = 0; before < 600; before++) {
      const writer = new ByteWriter();
      for (let byte = 0; byte < before; byte++) writer.byte(byte % 251);
      writer.byte(7).count(2 ** 32 - 1).number(-0.1).text("größe\ufeff").blob(Uint8Array.of(1, 2));
      writer.nullable(null, () => {}).nullable(3, (value) => writer.number(value)).list(
        [4, 5],
        (each) => writer.byte(each),
      );
      const reader = new ByteReader(writer.done());
      for (let byte = 0; byte < before; byte++) assert.equal(reader.byte(), byte % 251);
      const read = [reader.byte(), reader.count(), reader.number(), reader.text(), [...reader.blob()]];
      assert.deepEqual(read, [7, 2 ** 32 - 1, -0.1, "größe\ufeff", [1, 2]]);
      assert.equal(reader.nullable(() => 1), null);
      assert.equal(reader.nullable(() => reader.number()), 3);
      assert.deepEqual(reader.list(() => reader.byte()), [4, 5]);
      reader.end();
    }
  });

  it("writes any number there is", () => {
    const numbers = [0, -0, Infinity, -Infinity, NaN, Number.MAX_SAFE_INTEGER, 5e-324];
    const writer = new ByteWriter();
    writer.list(numbers, (each) => writer.number(each));
    const reader = new ByteReader(writer.done());
    assert.deepEqual(reader.list(() => reader.number()), numbers);
  });
});

describe("ByteReader", () => {
  it("believes no length before the bytes are there", () => {
    const claims = new ByteWriter().count(2 ** 32 - 1).done();
    const reads: ((reader: ByteReader) => unknown)[] = [
      (reader) => reader.blob(),
      (reader) => reader.text(),
      (reader) => reader.list(() => 0),
      (reader) => reader.number(),
    ];
    for (const read of reads) assert.throws(() => read(new ByteReader(claims)), BadBytes);
    assert.throws(() => new ByteReader(new Uint8Array()).byte(), BadBytes);
    assert.throws(() => new ByteReader(claims).end(), BadBytes);
  });

  it("reads a view in the middle of others' bytes", () => {
    const bytes = new ByteWriter().byte(9).number(1.5).done();
    assert.equal(new ByteReader(bytes.subarray(1)).number(), 1.5);
  });
});

describe("a message", () => {
  const payloads = [Uint8Array.of(1, 2, 3), new Uint8Array(), Uint8Array.of(4)];
  const { bytes, sums } = writeMessage(payloads, byPlace, checksum);

  it("is `wcr`, the version, and frames of 32 bits of length and 64 of checksum", () => {
    assert.deepEqual([...bytes.subarray(0, 8)], [0x77, 0x63, 0x72, 1, 3, 0, 0, 0]);
    assert.equal(new DataView(bytes.buffer).getBigUint64(8, true), checksum(payloads[0]!, 0n));
    assert.equal(bytes.length, 4 + 3 * 12 + 4);
  });

  it("has the frames that were written", () => {
    const frames = readMessage(bytes, byPlace, checksum);
    assert.deepEqual(frames.map(({ payload }) => payload), payloads);
    assert.deepEqual(frames.map(({ sum }) => sum), sums);
    assert.ok(frames.every(({ isIntact }) => isIntact));
  });

  it("shows which frame is damaged, and that one stands in another's place", () => {
    const damaged = bytes.slice();
    damaged[16]! ^= 1;
    assert.deepEqual(readMessage(damaged, byPlace, checksum).map(({ isIntact }) => isIntact), [false, true, true]);
    const elsewhere = readMessage(bytes, (index) => BigInt(index + 1), checksum);
    assert.deepEqual(elsewhere.map(({ isIntact }) => isIntact), [false, false, false]);
  });

  it("that is cut off anywhere but behind a frame, is none, or of another version, is refused", () => {
    const ends = [4, 19, 31, 44];
    for (let length = 0; length <= bytes.length; length++) {
      const read = () => readMessage(bytes.subarray(0, length), byPlace, checksum);
      if (ends.includes(length)) assert.equal(read().length, ends.indexOf(length));
      else assert.throws(read, BadBytes);
    }
    const newer = bytes.slice();
    newer[3] = 2;
    assert.throws(() => readMessage(newer, byPlace, checksum), /version 2.*only 1.*update the older side/);
  });
});
