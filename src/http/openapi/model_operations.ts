/**
 * `/v1`, `/run` and `/score`.
 *
 * @module
 */

import { z } from "@hono/zod-openapi";
import { suiteSchema } from "../../probe/suite.ts";
import { chatCompletions } from "../chat_completions.ts";
import { completions } from "../completions.ts";
import { EMBEDDINGS_PATH, embeddingsSchema } from "../embeddings.ts";
import { OWN_SHAPE } from "../own_fields.ts";
import { RUN_PATH, SCORE_PATH } from "../run.ts";
import { runBodySchema, scoreBodySchema, suiteModelsSchema } from "../suite_request.ts";
import { named, type Operation } from "./operation.ts";
import { CACHE_PARAMETERS, EXAMPLE_MODEL, LOCAL_HEADERS, LOCAL_PARAMETERS } from "./parameters.ts";
import { scores, suiteReport } from "./schemas/suite_answers.ts";
import {
  chatCompletion,
  chatCompletionChunk,
  completion,
  embeddings,
  model,
  modelList,
} from "./schemas/text_answers.ts";

/** Errors of whatever asks a model. */
const MODEL_ERRORS = [400, 404, 413, 502, 503, 504];

const STREAM = "With `stream`, the answer is a stream of server-sent events: each `data` is a chunk, the last is " +
  "`[DONE]`, and an error in the middle is one, too. While the model loads, comments say how far it is.";

const suite = z.object({ ...suiteSchema.shape, models: suiteModelsSchema }).strict()
  .describe("A suite of probes, in dlm-sway's form; docs/probes.md has the kinds and their fields.")
  .openapi("Suite");

const SPEC = {
  version: 1,
  models: {
    base: { kind: "hf", base: EXAMPLE_MODEL },
    ft: { kind: "hf", base: EXAMPLE_MODEL, adapter: "fortunes" },
  },
  suite: [{ kind: "delta_kl", name: "dk", prompts: ["In the beginning"] }],
};

/** Models of this machine. */
export const MODEL_OPERATIONS: readonly Operation[] = [
  {
    method: "post",
    path: chatCompletions.path,
    tag: "Models",
    summary: "Continue a conversation",
    description: `OpenAI's chat completions, through the model's own chat template. ${STREAM}`,
    scope: "models",
    parameters: LOCAL_PARAMETERS,
    body: {
      "application/json": {
        schema: z.object({ ...chatCompletions.schema.shape, ...OWN_SHAPE }).openapi("ChatCompletionRequest"),
        example: { model: EXAMPLE_MODEL, messages: [{ role: "user", content: "Who was Noah?" }], max_tokens: 16 },
      },
    },
    answers: {
      200: {
        description: "The answer, whole or in chunks.",
        headers: LOCAL_HEADERS,
        content: {
          "application/json": { schema: chatCompletion },
          "text/event-stream": { schema: chatCompletionChunk },
        },
      },
    },
    errors: MODEL_ERRORS,
  },
  {
    method: "post",
    path: completions.path,
    tag: "Models",
    summary: "Continue a text",
    description: `OpenAI's text completions, with the log-probabilities that evaluation harnesses ask for. ${STREAM}`,
    scope: "models",
    parameters: LOCAL_PARAMETERS,
    body: {
      "application/json": {
        schema: z.object({ ...completions.schema.shape, ...OWN_SHAPE }).openapi("CompletionRequest"),
        example: { model: EXAMPLE_MODEL, prompt: "In the beginning", max_tokens: 16 },
      },
    },
    answers: {
      200: {
        description: "The answer, whole or in chunks.",
        headers: LOCAL_HEADERS,
        content: { "application/json": { schema: completion }, "text/event-stream": { schema: completion } },
      },
    },
    errors: MODEL_ERRORS,
  },
  {
    method: "post",
    path: EMBEDDINGS_PATH,
    tag: "Models",
    summary: "Turn texts into vectors",
    description: "OpenAI's embeddings. Each text is kept in the cache by itself, whatever it was asked for with.",
    scope: "models",
    parameters: LOCAL_PARAMETERS,
    body: {
      "application/json": {
        schema: z.object({ ...embeddingsSchema.shape, ...OWN_SHAPE }).openapi("EmbeddingsRequest"),
        example: { model: EXAMPLE_MODEL, input: ["light", "darkness"] },
      },
    },
    answers: {
      200: {
        description: "A vector for each text.",
        headers: LOCAL_HEADERS,
        content: { "application/json": { schema: embeddings } },
      },
    },
    errors: MODEL_ERRORS,
  },
  {
    method: "get",
    path: "/v1/models",
    tag: "Models",
    summary: "What can be asked for",
    description: "Bases, and adapters as `base+adapter`.",
    scope: "models",
    answers: { 200: { description: "All models.", content: { "application/json": { schema: modelList } } } },
  },
  {
    method: "get",
    path: "/v1/models/{model}",
    tag: "Models",
    summary: "One of them",
    scope: "models",
    parameters: [{
      name: "model",
      in: "path",
      description: "`base[:dtype][+adapter]`; a slash in it may be sent as it is.",
      example: EXAMPLE_MODEL,
    }],
    answers: { 200: { description: "The model.", content: { "application/json": { schema: model } } } },
    errors: [404],
  },
  {
    method: "post",
    path: RUN_PATH,
    tag: "Probes",
    summary: "Run a suite of probes",
    description: "Measures what an adapter changes. A probe that fails is a verdict in the report, and no error.",
    scope: "models",
    parameters: CACHE_PARAMETERS,
    body: {
      "application/json": {
        schema: named("RunRequest", runBodySchema.extend({ spec: suite })),
        example: { spec: SPEC },
      },
    },
    answers: { 200: { description: "The report.", content: { "application/json": { schema: suiteReport } } } },
    errors: MODEL_ERRORS,
  },
  {
    method: "post",
    path: SCORE_PATH,
    tag: "Probes",
    summary: "Run some probes of a suite",
    scope: "models",
    parameters: CACHE_PARAMETERS,
    body: {
      "application/json": {
        schema: named("ScoreRequest", scoreBodySchema.extend({ spec: suite })),
        example: { spec: SPEC, probe_names: ["dk"] },
      },
    },
    answers: { 200: { description: "These probes alone.", content: { "application/json": { schema: scores } } } },
    errors: MODEL_ERRORS,
  },
];
