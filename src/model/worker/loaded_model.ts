/**
 * A base in its Worker: session, tokenizer and adapters together, doing tasks.
 *
 * @module
 */

import type { Runtime } from "../../runtime/runtime.ts";
import { Adapters } from "../adapter/adapters.ts";
import type { ResolvedBase } from "../backend.ts";
import { readChatTemplate } from "../text/chat_template.ts";
import { generate, type Generator } from "../generation/generate.ts";
import { readModelConfig } from "../files/model_config.ts";
import { loadFailure } from "../failure.ts";
import { readJson, readText } from "../files/model_files.ts";
import type { OnnxRuntime } from "./ort.ts";
import { targetModules } from "../adapter/peft.ts";
import type { ViewTask } from "./protocol.ts";
import { readTensorNames } from "../adapter/safetensors.ts";
import { completionLogprobs, nextToken, rollingLogprobs } from "../generation/score.ts";
import { CausalSession } from "../graph/session.ts";
import { TextTokenizer } from "../text/tokenizer.ts";

/** A base, ready for tasks. */
export interface LoadedModel extends Generator {
  readonly adapters: Adapters;
}

/**
 * Loads a base and runs one token through it, so that a graph that does not fit its configuration fails here and not in
 * every request.
 *
 * @throws ModelError `model_load_failed`, `identity_changed`
 */
export async function loadModel(
  runtime: Runtime,
  onnx: OnnxRuntime,
  base: ResolvedBase,
  knownAdapterWeights: readonly string[],
): Promise<LoadedModel> {
  try {
    const { files } = base;
    const tokenizerConfig = files.tokenizerConfig ? await readJson(runtime, files.tokenizerConfig) : {};
    const generation = files.generationConfig && await readJson(runtime, files.generationConfig);
    const config = readModelConfig(await readJson(runtime, files.config), generation);
    const tokenizer = new TextTokenizer(await readJson(runtime, files.tokenizer), tokenizerConfig);
    const template = files.chatTemplate && await readText(runtime, files.chatTemplate);
    const chatTemplate = readChatTemplate(tokenizerConfig, template);
    const modules = knownModules(runtime, knownAdapterWeights);
    const session = await CausalSession.open(runtime, onnx, base, config, modules);
    const { vocabularySize } = await session.score([0], {});
    return {
      session,
      tokenizer,
      chatTemplate,
      vocabularySize,
      contextLength: config.contextLength,
      endOfText: config.endOfText,
      adapters: new Adapters(runtime, onnx, session),
    };
  } catch (error) {
    throw loadFailure(base.name, error);
  }
}

/** Does a task; each value is part of the answer. */
export async function* perform(
  model: LoadedModel,
  task: ViewTask,
  signal: AbortSignal,
): AsyncGenerator<unknown> {
  const { applied } = task;
  const adapter = applied === undefined ? {} : await model.adapters.feeds(applied.adapter, applied.scale);
  switch (task.kind) {
    case "generate":
      return yield* generate(model, adapter, task.request, signal);
    case "logprobs":
      return yield await completionLogprobs(model, adapter, task.prompt, task.completion, signal);
    case "rollingLogprobs":
      return yield await rollingLogprobs(model, adapter, task.text, signal);
    case "nextToken":
      return yield await nextToken(model, adapter, task.prompt, task.options, signal);
  }
}

/** Modules of the adapters that lie beside the base. A broken one does not concern the base; it fails when it is used. */
function knownModules({ files }: Runtime, adapterWeights: readonly string[]): ReadonlySet<string> {
  const names = adapterWeights.flatMap((path) => {
    try {
      return readTensorNames(files, path);
    } catch {
      return [];
    }
  });
  return targetModules(names);
}
