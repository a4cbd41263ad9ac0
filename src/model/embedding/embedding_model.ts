/**
 * An encoder in its Worker: it places texts in a space of meanings. Encoder, pooling and normalisation are Sentence
 * Transformers' modules (https://sbert.net), whose files say what follows the graph; where there are none, vectors are
 * the mean of the tokens' rows, of length 1.
 *
 * @module
 */

import type { Runtime } from "../../runtime/runtime.ts";
import { Adapters } from "../adapter/adapters.ts";
import type { Ability, ContentFile, Embedding, EmbedInput, EmbedOptions, OnnxBase, OnnxFiles } from "../backend.ts";
import { ModelError } from "../error.ts";
import { type JsonObject, madeOf, readJson, readText } from "../files/model_files.ts";
import type { Feeds, GraphLoader, LoadedGraph } from "../graph/graph.ts";
import { LiveGraph } from "../graph/live_graph.ts";
import { cannot, type LoadedModel } from "../worker/loaded_model.ts";
import type { OnnxRuntime } from "../worker/ort.ts";
import type { ViewTask } from "../worker/protocol.ts";
import { type EncoderConfig, readEncoderConfig } from "./encoder_config.ts";
import { type EncoderOutput, EncoderSession } from "./encoder_session.ts";
import { InputEncoder } from "./input_encoder.ts";
import { MEAN_POOLING, normalise, pool, type Pooling, readPooling } from "./pooling.ts";
import { readModules, type SentenceModules, USUAL_MODULES } from "./sentence_modules.ts";

/**
 * Puts an embedding model together and runs one token through it, so that a graph that does not fit its configuration
 * fails here and not in every request.
 *
 * @throws Error when a file is broken, or the graph is not an encoder's; ModelError `identity_changed`
 */
export async function loadEmbeddingModel(
  runtime: Runtime,
  onnx: OnnxRuntime,
  { files }: OnnxBase,
  graph: LoadedGraph,
  load: GraphLoader,
): Promise<LoadedModel> {
  const json = (file: ContentFile | undefined): Promise<JsonObject> => {
    return file === undefined ? Promise.resolve({}) : readJson(runtime, file);
  };
  const tokenizerConfig = await json(files.tokenizerConfig);
  const sentenceConfig = await json(files.sentenceConfig);
  const config = readEncoderConfig({ config: await json(files.config), tokenizerConfig, sentenceConfig });
  const live = new LiveGraph(onnx, graph, load);
  const session = madeOf(files.graph, () => new EncoderSession(onnx, live, graph, config.firstPosition));
  const encoder = new InputEncoder({
    tokenizer: await json(files.tokenizer),
    tokenizerConfig,
    promptsConfig: await json(files.promptsConfig),
    sentenceConfig,
  }, config);
  const modules = files.modules && readModules(await readText(runtime, files.modules), session.pools);
  const pooling = await readPoolingOf(runtime, files, modules !== undefined && !session.pools);
  const adapters = new Adapters(runtime, onnx, live);
  const model = new EmbeddingModel({ config, session, encoder, pooling, modules: modules ?? USUAL_MODULES, adapters });
  await model.check();
  return model;
}

/** @param isNamed Whether `modules.json` says that there is one. */
async function readPoolingOf(runtime: Runtime, { pooling }: OnnxFiles, isNamed: boolean): Promise<Pooling> {
  if (pooling !== undefined) return readPooling(await readJson(runtime, pooling));
  if (isNamed) throw new Error("modules.json has a Pooling whose config.json is missing");
  return MEAN_POOLING;
}

/** What an embedding model is made of. */
interface EmbeddingParts {
  readonly config: EncoderConfig;
  readonly session: EncoderSession;
  readonly encoder: InputEncoder;
  readonly pooling: Pooling;
  readonly modules: SentenceModules;
  readonly adapters: Adapters;
}

const ABILITIES: ReadonlySet<Ability> = new Set(["embed"]);

class EmbeddingModel implements LoadedModel {
  readonly abilities = ABILITIES;
  readonly adapters: Adapters;
  readonly keptBytes = 0;
  readonly contextLength: number;
  readonly #parts: EmbeddingParts;
  /** Numbers in a vector. */
  #dimensions = 0;

  constructor(parts: EmbeddingParts) {
    this.#parts = parts;
    this.adapters = parts.adapters;
    this.contextLength = parts.config.contextLength;
  }

  /** @throws Error when the graph and the configuration do not go together. */
  async check(): Promise<void> {
    const { session, encoder, pooling } = this.#parts;
    if (session.pools && encoder.prompt !== "" && !pooling.includePrompt) {
      throw new Error("the pooling leaves out the prompt (include_prompt is false): the graph's own cannot");
    }
    const output = await session.run([0], {});
    if (!session.pools && pooling.width !== undefined && pooling.width !== output.width) {
      throw new Error(`the pooling takes ${pooling.width} numbers for each token: the graph gives ${output.width}`);
    }
    const vector = this.#pool(output, 0);
    if (!vector.every(Number.isFinite)) throw new Error("the graph's weights give what is not a number");
    this.#dimensions = vector.length;
  }

  async *perform(task: ViewTask, signal: AbortSignal): AsyncGenerator<unknown> {
    switch (task.kind) {
      case "generate":
        throw cannot("generate", "it embeds texts");
      case "score":
        throw cannot("score", "it embeds texts");
      case "embed": {
        this.#checkDimensions(task.options);
        const adapter = await this.adapters.lease(task.applied);
        try {
          for (const input of task.inputs) yield await this.#embed(input, adapter.feeds, task.options, signal);
        } finally {
          adapter.release();
        }
      }
    }
  }

  async #embed(
    input: EmbedInput,
    adapter: Feeds,
    { dimensions }: EmbedOptions,
    signal: AbortSignal,
  ): Promise<Embedding> {
    const { session, encoder, pooling, modules } = this.#parts;
    const { ids, promptTokens } = encoder.encode(input);
    const output = await session.run(ids, adapter, signal);
    const pooled = this.#pool(output, pooling.includePrompt ? 0 : promptTokens).subarray(0, dimensions);
    const vector = new Float32Array(modules.normalises ? normalise(pooled) : pooled);
    if (vector.every(Number.isFinite)) return { vector, tokens: ids.length };
    throw new ModelError("invalid_request", "The model's answer to this request is not a number", {
      parameter: "input",
    });
  }

  #pool({ numbers, width }: EncoderOutput, from: number): Float64Array<ArrayBuffer> {
    const { session, pooling } = this.#parts;
    return session.pools ? Float64Array.from(numbers) : pool(numbers, width, pooling.modes, from);
  }

  #checkDimensions({ dimensions }: EmbedOptions): void {
    const { cuts } = this.#parts.config;
    if (dimensions === undefined || dimensions === this.#dimensions) return;
    const isWhole = Number.isSafeInteger(dimensions) && dimensions >= 1 && dimensions < this.#dimensions;
    if (isWhole && (cuts === "any" || cuts?.includes(dimensions))) return;
    const others = cuts === undefined ? "" : cuts === "any" ? ", or any fewer" : `, or ${cuts.join(", ")}`;
    const message = `The model's vectors have ${this.#dimensions} dimensions${others}: ${dimensions}`;
    throw new ModelError("invalid_request", message, { parameter: "dimensions" });
  }
}
