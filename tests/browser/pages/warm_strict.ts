/// <reference lib="dom" />
/** The page with models, under a Content Security Policy: what it did that the policy forbids. */

import type { LocalBody } from "../../../src/compose/browser_warm.ts";
import type * as Page from "./warm.ts";

const violations: string[] = [];
addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) => {
  violations.push(`${violatedDirective} ${blockedURI}`);
});

/** The page; its module runs when it is first asked for, since before that nobody would hear. */
const page = (): Promise<typeof Page> => import("./warm.ts");

/** What was forbidden, and done or tried all the same. */
export async function forbidden(): Promise<string[]> {
  await page();
  return violations;
}

/** Opens models. */
export async function open(...options: Parameters<typeof Page.open>): Promise<string> {
  return await (await page()).open(...options);
}

/** Asks for a text. */
export async function complete(body: LocalBody): Promise<Page.Answered> {
  return await (await page()).complete(body);
}

/** Runs a suite. */
export async function suite(spec: unknown): Promise<unknown> {
  return await (await page()).suite(spec);
}

/** Closes what was opened. */
export async function close(): Promise<void> {
  await (await page()).close();
}
