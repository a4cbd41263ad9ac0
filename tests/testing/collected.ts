/** Runs a suite's tests by hand, to see which of them fail. */

import type { TestRunner } from "../../src/testing/testing.ts";

/** What came of a suite's tests. */
export interface Result {
  /** All tests: `group > behaviour`, without the suite's own name. */
  readonly all: readonly string[];
  /** Those that failed. */
  readonly failed: readonly string[];
}

/** Runs what `register` registers, one after the other. */
export async function resultOf(register: (runner: TestRunner) => void): Promise<Result> {
  const tests: { name: string; test: () => Promise<void> }[] = [];
  const path: string[] = [];
  register({
    describe(name, inner) {
      path.push(name);
      inner();
      path.pop();
    },
    it: (name, test) => void tests.push({ name: [...path, name].slice(1).join(" > "), test }),
  });
  const failed: string[] = [];
  for (const { name, test } of tests) await test().catch(() => failed.push(name));
  return { all: tests.map(({ name }) => name), failed };
}
