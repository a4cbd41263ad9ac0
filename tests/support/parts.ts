/** What some tests need of the machine: where it is missing the test is skipped with a message, on CI it fails. */

import { execFileSync } from "node:child_process";
import process from "node:process";
import type { TestContext } from "node:test";
import type { RangeLocks, Runtime } from "../../src/runtime/runtime.ts";

/** Skips a test for want of something, or fails it on CI, where everything has to be there. */
export function skipForWant(context: TestContext, reason: string): void {
  if (process.env.CI === "true") throw new Error(`This test may not be skipped on CI: ${reason}`);
  context.skip(reason);
}

/** Whether a program is on the path; if not, the test is skipped. */
export function requirePart(context: TestContext, program: string): boolean {
  try {
    execFileSync("which", [program], { stdio: "ignore" });
    return true;
  } catch {
    skipForWant(context, `${program} is not installed`);
    return false;
  }
}

/** The machine's byte-range locks; where it has none, the test is skipped. */
export function requireRangeLocks(context: TestContext, { rangeLocks }: Runtime): RangeLocks | undefined {
  if (rangeLocks === undefined) skipForWant(context, "the C library cannot be called here");
  return rangeLocks;
}
