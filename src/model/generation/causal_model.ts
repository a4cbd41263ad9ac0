/**
 * A causal language model in its Worker: session, tokenizer and adapters together.
 *
 * @module
 */

import type { Ability, OnnxBase } from "../backend.ts";
import type { Runtime } from "../../runtime/runtime.ts";
import { Adapters } from "../adapter/adapters.ts";
import { readTensorNames } from "../files/genai_config.ts";
import { readModelConfig } from "../files/model_config.ts";
import { madeOf, readJson, readText } from "../files/model_files.ts";
import type { GraphLoader, LoadedGraph } from "../graph/graph.ts";
import { LiveGraph } from "../graph/live_graph.ts";
import { CausalSession } from "../graph/session.ts";
import { readChatTemplate } from "../text/chat_template.ts";
import { TextTokenizer } from "../text/tokenizer.ts";
import { cannot, type LoadedModel } from "../worker/loaded_model.ts";
import type { OnnxRuntime } from "../worker/ort.ts";
import type { AppliedAdapter, ViewTask } from "../worker/protocol.ts";
import { isDistribution } from "./distribution.ts";
import { generate, type Generator } from "./generate.ts";
import { PrefixCache } from "./prefix_cache.ts";
import { scoreMany } from "./score.ts";

/**
 * Puts a causal language model together and runs two tokens through it, so that a graph that does not fit its
 * configuration, or gives logits of the last token alone, fails here and not in every request.
 *
 * @throws Error when a file is broken, or the graph is not a causal language model's; ModelError `identity_changed`
 */
export async function loadCausalModel(
  runtime: Runtime,
  onnx: OnnxRuntime,
  { files, device }: OnnxBase,
  graph: LoadedGraph,
  load: GraphLoader,
): Promise<LoadedModel> {
  const tokenizerConfig = files.tokenizerConfig ? await readJson(runtime, files.tokenizerConfig) : {};
  const genai = files.genaiConfig && await readJson(runtime, files.genaiConfig);
  const config = readModelConfig({
    config: await readJson(runtime, files.config),
    generation: files.generationConfig && await readJson(runtime, files.generationConfig),
    tokenizer: tokenizerConfig,
    genai,
  });
  const tokenizerJson = await readJson(runtime, files.tokenizer);
  const tokenizer = madeOf(files.tokenizer, () => new TextTokenizer(tokenizerJson, tokenizerConfig));
  const template = files.chatTemplate && await readText(runtime, files.chatTemplate);
  const chatTemplate = readChatTemplate(tokenizerConfig, template);
  const live = new LiveGraph(onnx, graph, load);
  const names = readTensorNames(genai);
  const session = madeOf(files.graph, () => new CausalSession(onnx, live, graph, names, config.cache));
  const logits = await session.score([0, 0], {}, { rows: 2, whole: "none" });
  if (!isDistribution(logits.last())) {
    throw new Error(`${files.graph.path}: its logits are not numbers: its weights are broken, or overflow their dtype`);
  }
  const { vocabularySize } = logits;
  const { contextLength, endOfText, sampling } = config;
  const prefixes = new PrefixCache(PREFIX_BYTES);
  const base = { session, tokenizer, chatTemplate, vocabularySize, contextLength, endOfText, sampling, prefixes };
  const adapters = new Adapters(runtime, onnx, live, (identity) => prefixes.drop((view) => view.startsWith(identity)));
  return new CausalModel(base, live, adapters, device !== "wasm");
}

const ABILITIES: ReadonlySet<Ability> = new Set(["generate", "score"]);

/** Most that the beginnings of prompts may take, whose keys and values are kept. */
const PREFIX_BYTES = 64 * 2 ** 20;

class CausalModel implements LoadedModel {
  readonly abilities = ABILITIES;
  readonly adapters: Adapters;
  readonly #base: Omit<Generator, "adapter" | "view">;
  readonly #live: LiveGraph;
  /** Where keys and values are counted with all other buffers. */
  readonly #isOnGpu: boolean;

  constructor(base: Omit<Generator, "adapter" | "view">, live: LiveGraph, adapters: Adapters, isOnGpu: boolean) {
    this.#isOnGpu = isOnGpu;
    this.#base = base;
    this.#live = live;
    this.adapters = adapters;
  }

  get contextLength(): number {
    return this.#base.contextLength;
  }

  get keptBytes(): number {
    return this.#isOnGpu ? 0 : this.#base.prefixes.bytes;
  }

  async *perform(task: ViewTask, signal: AbortSignal): AsyncGenerator<unknown> {
    if (task.kind === "embed") throw cannot("embed", "it goes on from texts");
    const lease = await this.adapters.lease(task.applied);
    try {
      const model = { ...this.#base, adapter: lease.feeds, view: viewName(task.applied, this.#live.modules) };
      if (task.kind === "generate") yield* generate(model, task.request, signal);
      else yield* scoreMany(model, lease.feeds, task.questions, signal);
    } finally {
      lease.release();
    }
  }
}

/** Different for every view whose numbers differ; begins with the adapter's identity. Modules only become more. */
function viewName(applied: AppliedAdapter | undefined, { size }: ReadonlySet<string>): string {
  return applied === undefined ? `${size}` : `${applied.adapter.identity} ${JSON.stringify(applied.as)} ${size}`;
}
