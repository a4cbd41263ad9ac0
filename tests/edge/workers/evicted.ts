/** The example's Worker, whose object can be told to go, as one that nobody has asked for a while goes. */

import worker, { Answers as Example, type Environment } from "../../../examples/edge/worker.ts";

export default worker;

/** Answers, until it is asked to go. */
export class Answers extends Example {
  readonly #context: { abort(): void };

  constructor(
    context: ConstructorParameters<typeof Example>[0] & { abort(): void },
    environment: Environment,
  ) {
    super(context, environment);
    this.#context = context;
  }

  override async fetch(request: Request): Promise<Response> {
    if (new URL(request.url).pathname === "/go") this.#context.abort();
    return await super.fetch(request);
  }
}
