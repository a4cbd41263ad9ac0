/** A Worker with a Durable Object and no cache: what `bench/edge.ts` holds the example against. */

import { answerTo } from "./answer.ts";

interface Environment {
  readonly ANSWERS: { getByName(name: string): { fetch(request: Request): Promise<Response> } };
  readonly UPSTREAM: string;
}

/** Answers at once what it is told that it knows, and asks the provider for everything else. */
export class Answers {
  readonly #upstream: string;

  constructor(_context: unknown, { UPSTREAM }: Environment) {
    this.#upstream = UPSTREAM;
  }

  async fetch(request: Request): Promise<Response> {
    if (!request.headers.has("X-Known")) return await fetch(new Request(this.#upstream, request));
    return new Response(answerTo(await request.text()), { headers: { "Content-Type": "application/json" } });
  }
}

export default {
  fetch: (request: Request, { ANSWERS }: Environment): Promise<Response> => ANSWERS.getByName("all").fetch(request),
};
