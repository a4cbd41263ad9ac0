/**
 * {@link ./backend.ts Backend} for models of kind `onnx`: a Worker per base, because ending it is the only way to get
 * its WASM memory back, and because a model that runs on the server's thread stops everything else.
 *
 * @module
 */

import type { Milliseconds, Runtime, WorkerHandle } from "../runtime/runtime.ts";
import {
  type Ability,
  type AdapterOptions,
  type Backend,
  type CompletionLogprobs,
  type Embedding,
  type EmbedInput,
  type EmbedOptions,
  type GenerateEvent,
  type GenerateRequest,
  isOnnxBase,
  type ModelMemory,
  type NextToken,
  type NextTokenOptions,
  type NullAdapterOptions,
  type OnnxBase,
  type Prompt,
  type ResidentAdapter,
  type ResolvedAdapter,
  type ResolvedBase,
  type RollingLogprobs,
  type ScoreAnswer,
  type ScoreQuestion,
  type View,
} from "./backend.ts";
import { spawnModelWorker } from "./device.ts";
import { ModelError, type ModelErrorCode } from "./error.ts";
import { loadFailure } from "./failure.ts";
import type { AppliedAdapter, Loaded } from "./worker/protocol.ts";
import { WorkerLine } from "./worker/worker_line.ts";

/** How to load. */
export interface LoadOptions {
  readonly signal?: AbortSignal;
  /**
   * Paths of the weights of adapters that will be used. Only the names of the layers they target are read from these,
   * to give the graph its inputs; an adapter that is not among them costs a second session.
   */
  readonly knownAdapterWeights?: readonly string[];
  /**
   * How long the model may be busy with one step of one request, and twice as long at most, before it is taken for hung
   * and its Worker ended. 10 minutes when left out. Loading may take that long and a second more for every megabyte of
   * its graph and weights.
   */
  readonly runTimeout?: Milliseconds;
}

/** Its Worker is gone, for a reason that says little about the model. */
const LOST: ReadonlySet<ModelErrorCode> = new Set(["worker_failed", "device_lost", "run_timeout"]);
const RUN_TIMEOUT: Milliseconds = 600_000;
/** A slow disk on another machine reads as many. */
const BYTES_PER_SECOND = 1e6;

/**
 * Loads a base into a Worker of its own. Aborting ends the Worker and rejects with the signal's reason.
 *
 * @throws ModelError `model_load_failed`, `identity_changed`; the Worker is gone then.
 */
export async function loadOnnxBackend(
  runtime: Runtime,
  base: ResolvedBase,
  { signal, knownAdapterWeights = [], runTimeout = RUN_TIMEOUT }: LoadOptions = {},
): Promise<Backend> {
  signal?.throwIfAborted();
  if (!isOnnxBase(base)) {
    const message = `Cannot load ${base.name}: its kind is not onnx: ${base.kind}`;
    throw new ModelError("model_load_failed", message, { permanent: true });
  }
  const worker = startWorker(runtime, base);
  const line = new WorkerLine(worker, { clock: runtime.clock, silence: runTimeout });
  const loaded = new AbortController();
  const patience = runTimeout + bytesOf(base) / BYTES_PER_SECOND * 1000;
  runtime.clock.sleep(patience, { signal: loaded.signal, background: true }).then(() => {
    line.end(new ModelError("run_timeout", `it was not loaded after ${patience / 1000} s`));
  }, () => {});
  try {
    return new OnnxBackend(base, line, await line.ask({ kind: "load", base, knownAdapterWeights }, signal));
  } catch (error) {
    line.end();
    if (!(error instanceof ModelError) || !LOST.has(error.code)) throw error;
    throw new ModelError("model_load_failed", `Cannot load ${base.name}: ${error.message}`, { cause: error });
  } finally {
    loaded.abort();
  }
}

function bytesOf({ files: { graph, externalData = [] } }: OnnxBase): number {
  return externalData.reduce((sum, file) => sum + file.size, graph.size);
}

function startWorker(runtime: Runtime, { name, device }: OnnxBase): WorkerHandle {
  try {
    return spawnModelWorker(runtime, device, `model ${name}`);
  } catch (error) {
    throw loadFailure(name, error);
  }
}

class OnnxBackend implements Backend {
  readonly base: OnnxBase;
  readonly contextLength: number;
  readonly abilities: ReadonlySet<Ability>;
  readonly #line: WorkerLine;

  constructor(base: OnnxBase, line: WorkerLine, { contextLength, abilities }: Loaded) {
    this.base = base;
    this.contextLength = contextLength;
    this.abilities = abilities;
    this.#line = line;
  }

  get memory(): ModelMemory {
    return this.#line.holding.memory;
  }

  get adapters(): readonly ResidentAdapter[] {
    return this.#line.holding.adapters;
  }

  async dropAdapter(identity: string): Promise<void> {
    await this.#line.ask({ kind: "drop", identity });
  }

  get closed(): Promise<Error | undefined> {
    return this.#line.closed;
  }

  baseView(): View {
    return new OnnxView(this.#line, undefined);
  }

  adapterView(adapter: ResolvedAdapter, { scale = 1 }: AdapterOptions = {}): View {
    if (!Number.isFinite(scale)) throw new RangeError(`An adapter's scale is not a finite number: ${scale}`);
    return new OnnxView(this.#line, { adapter, as: { scale } });
  }

  nullView(adapter: ResolvedAdapter, options: NullAdapterOptions): View {
    const { seed, initScale = 0.02, rankScale = 1 } = options;
    if (seed >>> 0 !== seed) throw new RangeError(`A null adapter's seed is not an unsigned 32-bit integer: ${seed}`);
    for (const [name, value] of Object.entries({ initScale, rankScale })) {
      if (!(Number.isFinite(value) && value > 0)) {
        throw new RangeError(`A null adapter's ${name} is not a positive number: ${value}`);
      }
    }
    return new OnnxView(this.#line, { adapter, as: { noise: { seed, initScale, rankScale } } });
  }

  close(): Promise<void> {
    this.#line.end();
    return Promise.resolve();
  }
}

class OnnxView implements View {
  readonly #line: WorkerLine;
  readonly #applied: AppliedAdapter | undefined;

  constructor(line: WorkerLine, applied: AppliedAdapter | undefined) {
    this.#line = line;
    this.#applied = applied;
  }

  generate(request: GenerateRequest, signal?: AbortSignal): AsyncIterable<GenerateEvent> {
    const start = () => this.#line.open({ kind: "generate", applied: this.#applied, request }, signal);
    return { [Symbol.asyncIterator]: start };
  }

  logprobs(prompt: Prompt, completion: string, signal?: AbortSignal): Promise<CompletionLogprobs> {
    return this.#score({ kind: "logprobs", prompt, completion }, signal);
  }

  rollingLogprobs(text: string, signal?: AbortSignal): Promise<RollingLogprobs> {
    return this.#score({ kind: "rollingLogprobs", text }, signal);
  }

  nextToken(prompt: Prompt, options: NextTokenOptions, signal?: AbortSignal): Promise<NextToken> {
    return this.#score({ kind: "nextToken", prompt, options }, signal);
  }

  scoreMany<Q extends ScoreQuestion>(questions: readonly Q[], signal?: AbortSignal): AsyncIterable<ScoreAnswer<Q>> {
    const start = () => this.#line.open({ kind: "score", applied: this.#applied, questions }, signal);
    return { [Symbol.asyncIterator]: start as () => AsyncIterator<ScoreAnswer<Q>> };
  }

  embed(
    inputs: readonly EmbedInput[],
    options: EmbedOptions = {},
    signal?: AbortSignal,
  ): AsyncIterable<Embedding> {
    const start = () => this.#line.open({ kind: "embed", applied: this.#applied, inputs, options }, signal);
    return { [Symbol.asyncIterator]: start };
  }

  #score<Q extends ScoreQuestion>(question: Q, signal?: AbortSignal): Promise<ScoreAnswer<Q>> {
    const task = { kind: "score", applied: this.#applied, questions: [question] } as const;
    return this.#line.ask(task, signal) as Promise<ScoreAnswer<Q>>;
  }
}
