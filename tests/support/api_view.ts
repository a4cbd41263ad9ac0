/** Views of models behind test endpoints, on a clock on which waits take no time. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { openApiBackend } from "../../src/model/api/api_backend.ts";
import type { ApiEndpoint } from "../../src/model/api/endpoint.ts";
import type { ApiBase, View } from "../../src/model/backend.ts";
import type { Milliseconds, SleepOptions } from "../../src/runtime/runtime.ts";
import { ManualClock } from "../../src/testing/manual_clock.ts";
import { type Answer, endpoint } from "./endpoint.ts";

/** Waits between attempts end at once and are written down; what runs in the background waits for `advance`. */
export class HastyClock extends ManualClock {
  readonly waits: Milliseconds[] = [];
  override sleep(duration: Milliseconds, options: SleepOptions = {}): Promise<void> {
    if (options.background) return super.sleep(duration, options);
    this.waits.push(duration);
    return Promise.resolve();
  }
}

export const sha256 = (bytes: Uint8Array): Uint8Array => new Uint8Array(createHash("sha256").update(bytes).digest());

/** The model `m` of an endpoint. */
export function baseAt(url: string): ApiBase {
  const identity = "0".repeat(64);
  return { kind: "api", name: "m", identity, dtype: "unknown", device: "remote", endpoint: url, model: "m" };
}

/** A view of it. */
export function viewOf(
  { url }: { readonly url: string },
  more: Partial<ApiEndpoint> = {},
  clock: HastyClock = new HastyClock(),
): View {
  return openApiBackend({ clock, sha256 }, baseAt(url), { url, ...more }, { random: () => 0 }).baseView();
}

/** An endpoint's refusal, in OpenAI's form. */
export const refused = (message: string, status = 400): Answer => ({
  status,
  json: { error: { message, code: null } },
});

/** Sends events, and `[DONE]` unless told otherwise. */
export const events = (sent: readonly unknown[], end = "data: [DONE]\n\n"): Answer => (response) => {
  response.writeHead(200, { "Content-Type": "text/event-stream" });
  response.end(sent.map((event) => `data: ${JSON.stringify(event)}\r\n\r\n`).join("") + end);
};

/** Asks `ask` of an endpoint that always gives one answer, and expects an error. */
export async function fails(answer: Answer, ask: (view: View) => Promise<unknown>, expected: object): Promise<void> {
  await using server = await endpoint(() => answer);
  await assert.rejects(ask(viewOf(server)), expected);
}
