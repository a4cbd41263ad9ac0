/**
 * A whole {@link Backend} without a model: for tests of what asks models. Its answers are those a test wrote down, or
 * come from a small formula; no file is read, and no Worker started.
 *
 * @module
 */

import type {
  Ability,
  AdapterOptions,
  Backend,
  CompletionLogprobs,
  Embedding,
  EmbedInput,
  GenerateEvent,
  GenerateRequest,
  ModelMemory,
  NextToken,
  NextTokenOptions,
  NullAdapterOptions,
  Prompt,
  ResidentAdapter,
  ResolvedAdapter,
  ResolvedBase,
  RollingLogprobs,
  ScoreAnswer,
  ScoredToken,
  ScoreQuestion,
  Token,
  View,
} from "../../model/backend.ts";
import { ModelError } from "../../model/error.ts";
import {
  between,
  cannedTokens,
  type DummyAnswers,
  type DummyApplied,
  DummySide,
  hash,
  noisy,
} from "./dummy_answers.ts";
import { DummyText } from "./dummy_text.ts";

/** A dummy model. */
export interface DummyOptions {
  /** Its name. Default: `dummy`. */
  readonly name?: string;
  /** What it answers. */
  readonly base?: DummyAnswers;
  /** What its adapters answer, by name. */
  readonly adapters?: Readonly<Record<string, DummyAnswers>>;
}

/** Tokens of prompt and answer together. */
const CONTEXT_LENGTH = 4096;

/** A dummy base, resolved: its identity is that of its answers. */
export function dummyBase({ name = "dummy", base = {}, adapters = {} }: DummyOptions = {}): ResolvedBase {
  return { kind: "dummy", name, identity: identityOf([name, base, adapters]), dtype: "none", device: "none" };
}

/** An adapter of a dummy, resolved. Its files are names only: there are none. */
export function dummyAdapter(name: string): ResolvedAdapter {
  const file = (path: string) => ({ path: `dummy/${name}/${path}`, sha256: identityOf([name, path]), size: 0 });
  const files = { config: file("adapter_config.json"), weights: file("adapter_model.safetensors") };
  return { name, identity: identityOf([name]), files };
}

/** Makes a dummy. Always greedy, whatever a request says of temperature. */
export function dummyBackend(options: DummyOptions = {}): Backend {
  return new DummyBackend(options);
}

/** Everything about one view. */
interface Sides {
  readonly base: DummySide;
  readonly other: DummySide | undefined;
  readonly applied: DummyApplied | undefined;
  /** Texts of the tokens that are not bytes, by id. */
  readonly texts: ReadonlyMap<number, string>;
}

class DummyBackend implements Backend {
  readonly base: ResolvedBase;
  readonly abilities: ReadonlySet<Ability> = new Set<Ability>(["generate", "score", "embed"]);
  readonly memory: ModelMemory = { wasm: 0, gpu: 0 };
  readonly contextLength = CONTEXT_LENGTH;
  readonly closed: Promise<Error | undefined>;
  readonly #side: DummySide;
  readonly #answers: Readonly<Record<string, DummyAnswers>>;
  readonly #canned: ReadonlyMap<string, number>;
  readonly #texts: ReadonlyMap<number, string>;
  readonly #end = Promise.withResolvers<Error | undefined>();
  readonly #resident = new Map<string, ResidentAdapter>();
  readonly #open = { is: true };

  constructor(options: DummyOptions) {
    const { base = {}, adapters = {} } = options;
    this.base = dummyBase(options);
    this.closed = this.#end.promise;
    this.#answers = adapters;
    this.#canned = cannedTokens([base, ...Object.values(adapters)]);
    this.#texts = new Map([...this.#canned].map(([text, id]) => [id, text]));
    this.#side = new DummySide(this.base.name, base, this.#canned);
  }

  get adapters(): readonly ResidentAdapter[] {
    return [...this.#resident.values()];
  }

  baseView(): View {
    return this.#view(undefined, undefined);
  }

  adapterView(adapter: ResolvedAdapter, { scale = 1 }: AdapterOptions = {}): View {
    if (!Number.isFinite(scale)) throw new RangeError(`An adapter's scale is not a finite number: ${scale}`);
    const answers = this.#answersOf(adapter);
    this.#resident.set(adapter.identity, { name: adapter.name, identity: adapter.identity, bytes: 0 });
    const other = new DummySide(`${this.base.name}+${adapter.name}`, answers, this.#canned);
    return this.#view(other, { name: adapter.name, answers, scale });
  }

  nullView(adapter: ResolvedAdapter, { seed, initScale = 0.02, rankScale = 1 }: NullAdapterOptions): View {
    this.#answersOf(adapter);
    return this.#view(undefined, { name: adapter.name, noise: { seed, initScale, rankScale } });
  }

  dropAdapter(identity: string): Promise<void> {
    this.#resident.delete(identity);
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.#open.is = false;
    this.#end.resolve(undefined);
    return Promise.resolve();
  }

  #answersOf({ name }: ResolvedAdapter): DummyAnswers {
    const answers = this.#answers[name];
    if (answers === undefined) throw new ModelError("model_load_failed", `The dummy has no such adapter: ${name}`);
    return answers;
  }

  #view(other: DummySide | undefined, applied: DummyApplied | undefined): View {
    return new DummyView({ base: this.#side, other, applied, texts: this.#texts }, this.#open);
  }
}

class DummyView implements View {
  readonly #sides: Sides;
  readonly #open: { readonly is: boolean };

  constructor(sides: Sides, open: { readonly is: boolean }) {
    this.#sides = sides;
    this.#open = open;
  }

  async *generate(request: GenerateRequest, signal?: AbortSignal): AsyncGenerator<GenerateEvent> {
    const { maxTokens = 64, stop, echo, topLogprobs } = request;
    const prompt = this.#textOf(request.prompt);
    this.#check(signal);
    const before = bytesOf(prompt);
    yield {
      type: "prompt",
      promptTokens: before.length,
      tokens: echo ? this.#scored(before, topLogprobs) : [],
      text: echo ? prompt : "",
    };
    const canned = this.#heard().continuation(prompt);
    const planned = canned === undefined ? undefined : bytesOf(canned);
    const stream = new DummyText(stop);
    const bytes = [...before];
    let count = 0;
    let finishReason: "stop" | "length" = "length";
    while (count < maxTokens) {
      // A turn of the event loop between tokens, as between those of a model.
      await Promise.resolve();
      this.#check(signal);
      if (planned !== undefined && count === planned.length) {
        finishReason = "stop";
        break;
      }
      const logs = this.#distribution(textOfBytes(bytes));
      const token = this.#token(planned?.[count] ?? likeliestOf(logs, 1)[0]!, logs, topLogprobs);
      count++;
      bytes.push(...token.bytes);
      const { text, stopped } = stream.push(token.bytes);
      yield { type: "token", token, text };
      if (stopped) {
        finishReason = "stop";
        break;
      }
    }
    yield { type: "end", finishReason, completionTokens: count, text: stream.end() };
  }

  async logprobs(prompt: Prompt, completion: string, signal?: AbortSignal): Promise<CompletionLogprobs> {
    await Promise.resolve();
    this.#check(signal);
    const before = this.#textOf(prompt);
    if (completion === "") throw invalid("There is nothing to score", "completion");
    const ids = bytesOf(completion);
    const total = this.#total(before, completion);
    if (total !== undefined) return { ids, logprobs: ids.map(() => total / ids.length), total };
    return withTotal(ids, this.#formula(bytesOf(before), ids));
  }

  async rollingLogprobs(text: string, signal?: AbortSignal): Promise<RollingLogprobs> {
    await Promise.resolve();
    this.#check(signal);
    const ids = bytesOf(text);
    if (ids.length < 2) throw invalid("A text of one token has nothing to score", "text");
    return withTotal(ids, this.#formula(ids.slice(0, 1), ids.slice(1)));
  }

  async nextToken(prompt: Prompt, { topK }: NextTokenOptions, signal?: AbortSignal): Promise<NextToken> {
    await Promise.resolve();
    this.#check(signal);
    if (!Number.isSafeInteger(topK) || topK < 1) throw invalid(`topK is not a positive integer: ${topK}`, "topK");
    const logs = this.#distribution(this.#textOf(prompt));
    const ids = likeliestOf(logs, topK);
    const named = new Set(ids);
    const rest = logs.reduce((sum, log, id) => named.has(id) ? sum : sum + Math.exp(log), 0);
    return {
      ids,
      logprobs: ids.map((id) => logs[id]!),
      vocabularySize: logs.length,
      tailLogprob: ids.length === logs.length ? null : Math.log(rest),
    };
  }

  async *scoreMany<Q extends ScoreQuestion>(
    questions: readonly Q[],
    signal?: AbortSignal,
  ): AsyncGenerator<ScoreAnswer<Q>> {
    for (const question of questions) yield await this.#score(question, signal) as ScoreAnswer<Q>;
  }

  async *embed(inputs: readonly EmbedInput[], _options?: unknown, signal?: AbortSignal): AsyncGenerator<Embedding> {
    for (const input of inputs) {
      await Promise.resolve();
      this.#check(signal);
      if (input.length === 0) throw invalid("There is nothing to embed", "input");
      const text = typeof input === "string" ? input : this.#textOf({ ids: input });
      yield { vector: Float32Array.from(this.#heard().vector(text)), tokens: bytesOf(text).length };
    }
  }

  #score(question: ScoreQuestion, signal: AbortSignal | undefined): Promise<ScoreAnswer<ScoreQuestion>> {
    switch (question.kind) {
      case "logprobs":
        return this.logprobs(question.prompt, question.completion, signal);
      case "rollingLogprobs":
        return this.rollingLogprobs(question.text, signal);
      case "nextToken":
        return this.nextToken(question.prompt, question.options, signal);
    }
  }

  /** The side whose answers are taken whole, where there is nothing in between. */
  #heard(): DummySide {
    const { base, other, applied } = this.#sides;
    return applied !== undefined && "scale" in applied && applied.scale !== 0 ? other! : base;
  }

  #textOf(prompt: Prompt): string {
    if ("text" in prompt) return prompt.text;
    if ("ids" in prompt) return textOfBytes(prompt.ids.flatMap((id) => this.#bytesOf(id)));
    return prompt.messages.map(({ role, content }) => `${role}: ${content ?? ""}\n`).join("");
  }

  #bytesOf(id: number): number[] {
    const text = this.#sides.texts.get(id);
    return text === undefined ? [id] : bytesOf(text);
  }

  /** The tokens of a text, each as likely as it is after those before it. */
  #scored(ids: readonly number[], topLogprobs: number | undefined): ScoredToken[] {
    return ids.map((id, at) => {
      const logs = at === 0 ? undefined : this.#distribution(textOfBytes(ids.slice(0, at)));
      return this.#token(id, logs, topLogprobs);
    });
  }

  #token(id: number, logs: Float64Array | undefined, topLogprobs: number | undefined): ScoredToken {
    const shown = (one: number): Token => {
      const bytes = this.#bytesOf(one);
      return { id: one, text: textOfBytes(bytes), bytes };
    };
    if (logs === undefined || topLogprobs === undefined) return { ...shown(id), logprob: null, top: [] };
    const top = likeliestOf(logs, topLogprobs).map((other) => ({ ...shown(other), logprob: logs[other]! }));
    return { ...shown(id), logprob: logs[id]!, top };
  }

  #formula(before: readonly number[], ids: readonly number[]): number[] {
    return ids.map((id, at) => this.#distribution(textOfBytes([...before, ...ids.slice(0, at)]))[id]!);
  }

  #distribution(text: string): Float64Array {
    const { base, other, applied } = this.#sides;
    const logs = base.distribution(text);
    if (applied === undefined) return logs;
    if ("noise" in applied) return noisy(logs, text, applied.noise);
    return between(logs, other!.distribution(text), applied.scale);
  }

  #total(prompt: string, completion: string): number | undefined {
    const { base, other, applied } = this.#sides;
    const total = base.total(prompt, completion);
    if (applied === undefined || "noise" in applied) return total;
    const adapted = other!.total(prompt, completion);
    return total === undefined || adapted === undefined ? adapted : total + applied.scale * (adapted - total);
  }

  #check(signal: AbortSignal | undefined): void {
    signal?.throwIfAborted();
    if (!this.#open.is) throw new ModelError("worker_failed", "The dummy was closed");
  }
}

function textOfBytes(bytes: readonly number[]): string {
  return new TextDecoder().decode(Uint8Array.from(bytes));
}

function withTotal(ids: readonly number[], logprobs: readonly number[]): CompletionLogprobs {
  return { ids, logprobs, total: logprobs.reduce((sum, logprob) => sum + logprob, 0) };
}

function bytesOf(text: string): number[] {
  return [...new TextEncoder().encode(text)];
}

/** Likeliest first; of equals the one with the lower id. */
function likeliestOf(logs: Float64Array, count: number): number[] {
  return [...logs.keys()].sort((one, other) => logs[other]! - logs[one]! || one - other).slice(0, count);
}

/** 64 hexadecimal digits that depend on all of a value. No SHA-256: a dummy has nothing to protect. */
function identityOf(value: unknown): string {
  const text = JSON.stringify(value);
  return Array.from({ length: 8 }, (_, seed) => hash(text, seed).toString(16).padStart(8, "0")).join("");
}

function invalid(message: string, parameter: string): ModelError {
  return new ModelError("invalid_request", message, { parameter });
}
