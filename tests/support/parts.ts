/** Programs that some tests need: where one is missing the test is skipped with a message, on CI it fails. */

import { execFileSync } from "node:child_process";
import process from "node:process";
import type { TestContext } from "node:test";

/** Whether a program is on the path; if not, skips the test, or fails it on CI. */
export function requirePart(context: TestContext, program: string): boolean {
  try {
    execFileSync("which", [program], { stdio: "ignore" });
    return true;
  } catch {
    if (process.env.CI === "true") throw new Error(`${program} is missing; .ci/run installs it`);
    context.skip(`${program} is not installed`);
    return false;
  }
}
