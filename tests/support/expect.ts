/** As much of vitest's `expect` as suites of other projects ask for, on `node:assert`: without vitest's own runner. */

import assert from "node:assert/strict";

/** What can be expected of a value. */
export interface Expectation {
  toBe(expected: unknown): void;
  toEqual(expected: unknown): void;
  toBeTruthy(): void;
  toBeFalsy(): void;
  toBeNull(): void;
  toBeUndefined(): void;
  toBeDefined(): void;
}

/** vitest's `expect`. */
export interface Expect {
  (value: unknown): Expectation;
  /** Says how many expectations there are in this test. */
  assertions(count: number): void;
}

/** Runs a test that takes `expect` from its context, as vitest's do. */
export async function runWithExpect(test: (context: { expect: Expect }) => unknown): Promise<void> {
  let said: number | undefined;
  let seen = 0;
  const expect = (value: unknown): Expectation => {
    seen++;
    return expectationOf(value);
  };
  await test({ expect: Object.assign(expect, { assertions: (count: number): void => void (said = count) }) });
  if (said !== undefined) assert.equal(seen, said, "expectations");
}

function expectationOf(value: unknown): Expectation {
  return {
    toBe: (expected) => assert.ok(Object.is(value, expected), `${String(value)} is not ${String(expected)}`),
    toEqual: (expected) => assert.deepEqual(value, expected),
    toBeTruthy: () => assert.ok(value),
    toBeFalsy: () => assert.ok(!value),
    toBeNull: () => assert.equal(value, null),
    toBeUndefined: () => assert.equal(value, undefined),
    toBeDefined: () => assert.notEqual(value, undefined),
  };
}
