import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isRangeError, present, rejects, same, truth, UnmetError } from "../../src/testing/assertions.ts";

const isUnmet = (error: unknown): boolean => error instanceof UnmetError && error.name === "AssertionError";

describe("same", () => {
  it("takes lists by their items, bytes by their bytes, objects by their properties in whatever order", () => {
    same([1, [2, { a: NaN, b: undefined }]], [1, [2, { b: undefined, a: NaN }]]);
    same(Uint8Array.of(1, 2).subarray(1), Uint8Array.of(2));
    same({ bytes: new Uint8Array(2), none: null }, { none: null, bytes: new Uint8Array(2) });
    same(Object.assign(Object.create({ inherited: 1 }), { own: 1 }), { own: 1 });
  });

  const UNLIKE: readonly (readonly [unknown, unknown])[] = [
    [1, 2],
    [0, -0],
    [1, "1"],
    [null, undefined],
    [null, {}],
    [[], {}],
    [[1], [1, 2]],
    [[1, 2], [2, 1]],
    [{}, { a: undefined }],
    [{ a: undefined }, { b: undefined }],
    [{ a: 1 }, { a: 1, b: 2 }],
    [Uint8Array.of(1), Uint8Array.of(2)],
    [Uint8Array.of(1), [1]],
    [Uint8Array.of(1), Uint8Array.of(1, 2)],
    ["a", "A"],
  ];
  for (const [one, other] of UNLIKE) {
    it(`tells ${JSON.stringify(one)} from ${JSON.stringify(other)}`, () => {
      assert.throws(() => same(one, other), isUnmet);
      assert.throws(() => same(other, one), isUnmet);
    });
  }

  it("says what was looked at, what has to be and what was there", () => {
    const wrong = (): void => same({ size: Infinity, bytes: Uint8Array.of(1, 2) }, { size: 1 }, "the size");
    assert.throws(wrong, {
      message: 'the size: expected {"size":1}: received {"size":"Infinity","bytes":"2 bytes: 1 2"}',
      expected: { size: 1 },
    });
  });

  it("says it of long values in short", () => {
    assert.throws(() => same("a".repeat(10_000), "b"), (error) => (error as Error).message.length < 1000);
  });
});

describe("truth and present", () => {
  it("ask for what is true, and for what is there", () => {
    truth(true, "it");
    assert.equal(present(0, "it"), 0);
    assert.throws(() => truth(false, "it"), isUnmet);
    for (const nothing of [undefined, null]) assert.throws(() => present(nothing, "it"), isUnmet);
  });
});

describe("rejects", () => {
  it("takes what throws at once and what rejects later, and gives the error back", async () => {
    const error = new RangeError("no");
    const throwing = (): never => {
      throw error;
    };
    assert.equal(await rejects(throwing, isRangeError), error);
    assert.equal(await rejects(() => Promise.reject(error), isRangeError), error);
  });

  it("fails for another error, and for none", async () => {
    await assert.rejects(
      rejects(() => Promise.reject(new TypeError("no")), isRangeError),
      /which does not fit.*TypeError: no/,
    );
    await assert.rejects(rejects(() => Promise.resolve(1), isRangeError), /expected "a rejection": received 1/);
  });
});
