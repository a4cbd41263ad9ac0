/** An OpenAI-compatible server whose every answer a test writes down, for the ways in which real ones differ. */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { Buffer } from "node:buffer";
import type { AddressInfo } from "node:net";

/** A request as the server got it. */
export interface Asked {
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  // deno-lint-ignore no-explicit-any -- tests read what they know is there
  readonly body: any;
}

/** What to answer: JSON with a status, or whatever is written by hand. */
export type Answer =
  | { readonly status?: number; readonly headers?: Record<string, string>; readonly json: unknown }
  | ((
    response: ServerResponse,
  ) => void);

/** A server that listens. */
export interface Endpoint extends AsyncDisposable {
  /** Its base URL. */
  readonly url: string;
  /** What it was asked, in order. */
  readonly asked: readonly Asked[];
}

/** Starts one. `answer` is given each request, and its number from 0. */
export async function endpoint(answer: (asked: Asked, number: number) => Answer): Promise<Endpoint> {
  const asked: Asked[] = [];
  const server: Server = createServer((request, response) => {
    const parts: Uint8Array[] = [];
    request.on("data", (part: Uint8Array) => parts.push(part));
    request.on("end", () => {
      const body = JSON.parse(new TextDecoder().decode(Buffer.concat(parts)));
      const one = { path: request.url!, headers: request.headers, body };
      asked.push(one);
      const how = answer(one, asked.length - 1);
      if (typeof how === "function") return how(response);
      response.writeHead(how.status ?? 200, { "Content-Type": "application/json", ...how.headers });
      response.end(JSON.stringify(how.json));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    asked,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

/** A choice of a legacy completion: its tokens with their log-probabilities, each as `[text, logprob, alternatives]`. */
export function choice(
  tokens: readonly (readonly [text: string, logprob: number | null, top?: Record<string, number>])[],
  more: Record<string, unknown> = {},
): Record<string, unknown> {
  let at = 0;
  return {
    index: 0,
    text: tokens.map(([text]) => text).join(""),
    finish_reason: "length",
    logprobs: {
      tokens: tokens.map(([text]) => text),
      token_logprobs: tokens.map(([, logprob]) => logprob),
      top_logprobs: tokens.map(([, , top]) => top ?? null),
      text_offset: tokens.map(([text]) => (at += [...text].length) - [...text].length),
    },
    ...more,
  };
}
