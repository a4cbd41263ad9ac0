/**
 * A causal language model in its Worker: session, tokenizer and adapters together.
 *
 * @module
 */

import type { Ability, OnnxBase } from "../backend.ts";
import type { Runtime } from "../../runtime/runtime.ts";
import { Adapters } from "../adapter/adapters.ts";
import { readModelConfig } from "../files/model_config.ts";
import { readJson, readText } from "../files/model_files.ts";
import type { GraphLoader, LoadedGraph } from "../graph/graph.ts";
import { CausalSession } from "../graph/session.ts";
import { readChatTemplate } from "../text/chat_template.ts";
import { TextTokenizer } from "../text/tokenizer.ts";
import { cannot, type LoadedModel } from "../worker/loaded_model.ts";
import type { OnnxRuntime } from "../worker/ort.ts";
import type { ViewTask } from "../worker/protocol.ts";
import { generate, type Generator } from "./generate.ts";
import { scoreMany } from "./score.ts";

/**
 * Puts a causal language model together and runs one token through it, so that a graph that does not fit its
 * configuration fails here and not in every request.
 *
 * @throws Error when a file is broken, or the graph is not a causal language model's; ModelError `identity_changed`
 */
export async function loadCausalModel(
  runtime: Runtime,
  onnx: OnnxRuntime,
  { files }: OnnxBase,
  graph: LoadedGraph,
  load: GraphLoader,
): Promise<LoadedModel> {
  const tokenizerConfig = files.tokenizerConfig ? await readJson(runtime, files.tokenizerConfig) : {};
  const generation = files.generationConfig && await readJson(runtime, files.generationConfig);
  const config = readModelConfig(await readJson(runtime, files.config), generation);
  const tokenizer = new TextTokenizer(await readJson(runtime, files.tokenizer), tokenizerConfig);
  const template = files.chatTemplate && await readText(runtime, files.chatTemplate);
  const chatTemplate = readChatTemplate(tokenizerConfig, template);
  const session = new CausalSession(onnx, config, graph, load);
  const { vocabularySize } = await session.score([0], {});
  const { contextLength, endOfText } = config;
  const generator = { session, tokenizer, chatTemplate, vocabularySize, contextLength, endOfText };
  return new CausalModel(generator, new Adapters(runtime, onnx, session));
}

const ABILITIES: ReadonlySet<Ability> = new Set(["generate", "score"]);

class CausalModel implements LoadedModel {
  readonly abilities = ABILITIES;
  readonly adapters: Adapters;
  readonly #generator: Generator;

  constructor(generator: Generator, adapters: Adapters) {
    this.#generator = generator;
    this.adapters = adapters;
  }

  get contextLength(): number {
    return this.#generator.contextLength;
  }

  async *perform(task: ViewTask, signal: AbortSignal): AsyncGenerator<unknown> {
    const adapter = task.applied === undefined ? {} : await this.adapters.feeds(task.applied);
    switch (task.kind) {
      case "generate":
        return yield* generate(this.#generator, adapter, task.request, signal);
      case "score":
        return yield* scoreMany(this.#generator, adapter, task.questions, signal);
      case "embed":
        throw cannot("embed", "it goes on from texts");
    }
  }
}
