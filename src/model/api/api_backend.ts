/**
 * {@link ../backend.ts Backend} for models of kind `api`: whatever answers under a name at an OpenAI-compatible endpoint.
 * It holds nothing in memory, and knows of the model only what the endpoint says. An adapter is another name, or another
 * endpoint: a backend of its own.
 *
 * @module
 */

import type { Runtime } from "../../runtime/runtime.ts";
import type {
  Ability,
  ApiBase,
  Backend,
  CompletionLogprobs,
  Embedding,
  EmbedInput,
  EmbedOptions,
  GenerateEvent,
  GenerateRequest,
  ModelMemory,
  NextToken,
  NextTokenOptions,
  Prompt,
  ResidentAdapter,
  ResolvedBase,
  RollingLogprobs,
  ScoreAnswer,
  ScoreQuestion,
  View,
} from "../backend.ts";
import { ModelError } from "../error.ts";
import { ApiClient, type ApiClientParts } from "./api_client.ts";
import { type ApiModel, newManners } from "./api_model.ts";
import { embedOne } from "./embedding.ts";
import { type ApiEndpoint, checkEndpoint } from "./endpoint.ts";
import { generate } from "./generating.ts";
import { inOrder } from "./in_order.ts";
import { completionLogprobs, nextToken, rollingLogprobs } from "./scoring.ts";

/** Whether a base is a model behind an endpoint. */
export function isApiBase(base: ResolvedBase): base is ApiBase {
  return base.kind === "api";
}

/**
 * Makes a backend of an endpoint's model. Nothing is asked before somebody asks: every answer is checked for what an
 * endpoint can do.
 *
 * @throws TypeError, RangeError for an endpoint that is none; ModelError `model_load_failed` for a base of another kind.
 */
export function openApiBackend(
  runtime: Pick<Runtime, "clock" | "sha256">,
  base: ResolvedBase,
  endpoint: ApiEndpoint,
  parts: Omit<ApiClientParts, "clock"> = {},
): Backend {
  if (!isApiBase(base)) {
    const message = `Cannot ask an endpoint for ${base.name}: its kind is not api: ${base.kind}`;
    throw new ModelError("model_load_failed", message, { permanent: true });
  }
  const { contextLength } = checkEndpoint(endpoint);
  const client = new ApiClient(endpoint, { clock: runtime.clock, ...parts });
  return new ApiBackend({ base, client, runtime, manners: newManners() }, contextLength);
}

class ApiBackend implements Backend {
  readonly base: ApiBase;
  readonly contextLength: number;
  /** What of it the endpoint really can shows when it is asked. */
  readonly abilities: ReadonlySet<Ability> = new Set<Ability>(["generate", "score", "embed"]);
  readonly memory: ModelMemory = { wasm: 0, gpu: 0 };
  readonly adapters: readonly ResidentAdapter[] = [];
  readonly closed: Promise<Error | undefined>;
  readonly #model: ApiModel;
  readonly #work = new AbortController();

  constructor(model: ApiModel, contextLength: number) {
    this.#model = model;
    this.base = model.base;
    this.contextLength = contextLength;
    this.closed = new Promise((resolve) => {
      this.#work.signal.addEventListener("abort", () => resolve(undefined), { once: true });
    });
  }

  baseView(): View {
    return new ApiView(this.#model, this.#work.signal);
  }

  adapterView(): View {
    throw this.#noAdapters();
  }

  nullView(): View {
    throw this.#noAdapters();
  }

  dropAdapter(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.#work.abort(new ModelError("worker_failed", `The endpoint's model ${this.base.name} was closed`));
    return Promise.resolve();
  }

  #noAdapters(): ModelError {
    const message =
      `${this.base.name} is an endpoint's, which takes no adapters: name the model or endpoint that has it`;
    return new ModelError("invalid_request", message, { parameter: "adapter" });
  }
}

class ApiView implements View {
  readonly #model: ApiModel;
  readonly #closed: AbortSignal;

  constructor(model: ApiModel, closed: AbortSignal) {
    this.#model = model;
    this.#closed = closed;
  }

  generate(request: GenerateRequest, signal?: AbortSignal): AsyncIterable<GenerateEvent> {
    const start = () => generate(this.#model, request, this.#until(signal));
    return { [Symbol.asyncIterator]: start };
  }

  async logprobs(prompt: Prompt, completion: string, signal?: AbortSignal): Promise<CompletionLogprobs> {
    return await completionLogprobs(this.#model, prompt, completion, this.#until(signal));
  }

  async rollingLogprobs(text: string, signal?: AbortSignal): Promise<RollingLogprobs> {
    return await rollingLogprobs(this.#model, text, this.#until(signal));
  }

  async nextToken(prompt: Prompt, options: NextTokenOptions, signal?: AbortSignal): Promise<NextToken> {
    return await nextToken(this.#model, prompt, options, this.#until(signal));
  }

  scoreMany<Q extends ScoreQuestion>(questions: readonly Q[], signal?: AbortSignal): AsyncIterable<ScoreAnswer<Q>> {
    const answer = (question: Q, wanted: AbortSignal) => this.#score(question, wanted) as Promise<ScoreAnswer<Q>>;
    return this.#inOrder(questions, signal, answer);
  }

  embed(inputs: readonly EmbedInput[], options: EmbedOptions = {}, signal?: AbortSignal): AsyncIterable<Embedding> {
    return this.#inOrder(inputs, signal, (input, wanted) => embedOne(this.#model, input, options, wanted));
  }

  #inOrder<I, O>(
    items: readonly I[],
    signal: AbortSignal | undefined,
    answer: (item: I, signal: AbortSignal) => Promise<O>,
  ): AsyncIterable<O> {
    const start = () => inOrder(items, this.#model.client.concurrency, this.#until(signal), answer);
    return { [Symbol.asyncIterator]: start };
  }

  #score(question: ScoreQuestion, signal: AbortSignal): Promise<ScoreAnswer<ScoreQuestion>> {
    switch (question.kind) {
      case "logprobs":
        return completionLogprobs(this.#model, question.prompt, question.completion, signal);
      case "rollingLogprobs":
        return rollingLogprobs(this.#model, question.text, signal);
      case "nextToken":
        return nextToken(this.#model, question.prompt, question.options, signal);
    }
  }

  #until(signal: AbortSignal | undefined): AbortSignal {
    return signal === undefined ? this.#closed : AbortSignal.any([this.#closed, signal]);
  }
}
