/**
 * A test runner that runs nothing: it learns which tests a suite has. Outside the browser it gives their names, inside
 * what runs under them, so that a test that fails in a browser fails by its own name in the runner outside.
 */

import type { TestRunner } from "../../../src/testing/runner.ts";

/** The tests that `register` registers, by their names and those of the groups around them. */
export function recordTests(register: (runner: TestRunner) => void): ReadonlyMap<string, () => Promise<void>> {
  const recorded = new Map<string, () => Promise<void>>();
  const groups: string[] = [];
  register({
    describe(name, tests) {
      groups.push(name);
      tests();
      groups.pop();
    },
    it(behaviour, test) {
      const name = [...groups, behaviour].join(" > ");
      if (recorded.has(name)) throw new Error(`Cannot tell two tests apart: ${name}`);
      recorded.set(name, test);
    },
  });
  return recorded;
}
