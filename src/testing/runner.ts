/**
 * What the suites need of a test runner. `node:test`, `bun:test`, Vitest, Jest, Mocha and Deno's `@std/testing/bdd` have
 * it, so no suite imports a runner.
 *
 * @module
 */

/** The two functions by which tests are registered. */
export interface TestRunner {
  /** Registers a group, and by calling `tests` at once what is in it. */
  describe(name: string, tests: () => void): unknown;
  /** Registers a test: it passes when what `test` returns resolves. */
  it(behaviour: string, test: () => Promise<void>): unknown;
}
