/**
 * Generation by an endpoint, as a stream: texts by `/completions`, conversations by `/chat/completions`.
 *
 * @module
 */

import type { GenerateEvent, GenerateRequest, ScoredToken, Token } from "../backend.ts";
import { ModelError } from "../error.ts";
import { type ApiModel, askStream, explained, textOf } from "./api_model.ts";
import { isUnlikely, readLogprob, readTokens, record, UnusableAnswer } from "./legacy_logprobs.ts";
import { echoed, idOf } from "./scoring.ts";
import { idOfText } from "./token_ids.ts";

/** A chunk of an answer, read. */
interface Chunk {
  readonly text: string;
  readonly tokens: readonly ScoredToken[];
  readonly finishReason: unknown;
}

/** Why answers end, in the words of OpenAI, Anthropic and text-generation-inference. Others tell of a failure. */
const ENDS: ReadonlyMap<string, "stop" | "length"> = new Map([
  ["stop", "stop"],
  ["eos_token", "stop"],
  ["stop_sequence", "stop"],
  ["end_turn", "stop"],
  ["length", "length"],
  ["max_tokens", "length"],
]);

/**
 * {@link ../backend.ts View.generate}. Without log-probabilities endpoints send pieces of text that need not be tokens:
 * each is reported as one, and how many tokens there were is what the endpoint says at the end.
 */
export async function* generate(
  model: ApiModel,
  request: GenerateRequest,
  signal: AbortSignal,
): AsyncGenerator<GenerateEvent> {
  const isChat = "messages" in request.prompt;
  const path = isChat ? "/chat/completions" : "/completions";
  const prompt = await promptEvent(model, request, signal);
  if (request.maxTokens === 0) {
    yield prompt;
    yield { type: "end", finishReason: "length", completionTokens: 0, text: "" };
    return;
  }
  const body = { ...(isChat ? chatBody(model, request) : textBody(model, request)), ...samplingOf(request) };
  let pieces = 0;
  let finish: unknown;
  let usage: { readonly prompt_tokens?: unknown; readonly completion_tokens?: unknown } | undefined;
  let begun = false;
  // Text that came without a token of its own, such as what might have become a stop text.
  let held = "";
  try {
    for await (const event of askStream(model, path, body, signal)) {
      if (!begun) yield prompt;
      begun = true;
      const { choices, usage: said } = record(event, "an event");
      if (said) usage = said;
      const choice = Array.isArray(choices) ? choices[0] : undefined;
      if (choice === undefined) continue;
      const chunk = isChat ? readChatChunk(model, request, choice) : readChunk(model, request, choice);
      finish = chunk.finishReason ?? finish;
      held += chunk.text;
      for (const [index, token] of chunk.tokens.entries()) {
        pieces++;
        const text = index === chunk.tokens.length - 1 ? held : "";
        held = text === "" ? held : "";
        yield { type: "token", token, text };
      }
    }
    if (pieces === 0 && held !== "") throw new UnusableAnswer("it ignored logprobs");
    if (finish === "content_filter") throw new UnusableAnswer("its answer was held back by a filter");
    if (typeof finish !== "string") throw new UnusableAnswer("it does not say why its answer ended");
    if (!ENDS.has(finish)) throw new UnusableAnswer(`it ended for another reason than an answer does: ${finish}`);
  } catch (error) {
    throw explained(model, error, path, "prompt");
  }
  const promptTokens = countOf(usage?.prompt_tokens);
  yield {
    type: "end",
    finishReason: ENDS.get(finish as string)!,
    completionTokens: countOf(usage?.completion_tokens) ?? pieces,
    text: held,
    ...(promptTokens === undefined || prompt.promptTokens !== null ? {} : { promptTokens }),
  };
}

async function promptEvent(
  model: ApiModel,
  { prompt, echo, topLogprobs }: GenerateRequest,
  signal: AbortSignal,
): Promise<GenerateEvent & { readonly type: "prompt" }> {
  if (!echo) return { type: "prompt", promptTokens: null, tokens: [], text: "" };
  const text = textOf(model, prompt);
  const { tokens, placed } = await echoed(model, text, "prompt", signal, Math.max(1, topLogprobs ?? 0));
  const scored = tokens.slice(0, placed.length).map((token): ScoredToken => {
    const own = tokenOf(token.text, idOf(model, token));
    if (topLogprobs === undefined) return { ...own, logprob: null, top: [] };
    return { ...own, logprob: token.logprob ?? null, top: topOf(model, token.top, topLogprobs) };
  });
  return { type: "prompt", promptTokens: scored.length, tokens: scored, text };
}

function textBody(model: ApiModel, { prompt, maxTokens, topLogprobs }: GenerateRequest): Record<string, unknown> {
  if (maxTokens === undefined) {
    const message =
      "An endpoint that is not told how many tokens to generate generates as many as it likes: say maxTokens";
    throw new ModelError("invalid_request", message, { parameter: "maxTokens" });
  }
  return {
    model: model.base.model,
    prompt: "ids" in prompt ? prompt.ids : textOf(model, prompt),
    ...(topLogprobs === undefined ? {} : { logprobs: Math.max(1, topLogprobs) }),
  };
}

function chatBody(model: ApiModel, { prompt, topLogprobs }: GenerateRequest): Record<string, unknown> {
  if (!("messages" in prompt)) throw new TypeError("Cannot chat without messages");
  const { messages, template: { addGenerationPrompt, continueFinalMessage, variables } = {} } = prompt;
  return defined({
    model: model.base.model,
    messages,
    add_generation_prompt: addGenerationPrompt,
    continue_final_message: continueFinalMessage,
    chat_template_kwargs: variables,
    ...(topLogprobs === undefined ? {} : { logprobs: true, top_logprobs: topLogprobs }),
  });
}

function samplingOf(request: GenerateRequest): Record<string, unknown> {
  const { logitBias, stop } = request;
  return defined({
    max_tokens: request.maxTokens,
    temperature: request.temperature,
    top_p: request.topP,
    top_k: request.topK,
    min_p: request.minP,
    repetition_penalty: request.repetitionPenalty,
    presence_penalty: request.presencePenalty,
    frequency_penalty: request.frequencyPenalty,
    logit_bias: logitBias === undefined ? undefined : Object.fromEntries(logitBias),
    min_tokens: request.minTokens,
    seed: request.seed,
    stop: stop.length === 0 ? undefined : stop,
    stream: true,
    stream_options: { include_usage: true },
  });
}

function readChunk(model: ApiModel, { topLogprobs }: GenerateRequest, choice: unknown): Chunk {
  const { text = "", logprobs, finish_reason: finishReason } = record(choice, "a choice");
  if (typeof text !== "string") throw new UnusableAnswer("the text of a choice is none");
  if (topLogprobs === undefined) return { text, tokens: piece(model, text), finishReason };
  if (!logprobs) return { text, tokens: [], finishReason };
  const tokens = readTokens(choice, false).map((token) => ({
    ...tokenOf(token.text, idOf(model, token)),
    logprob: token.logprob!,
    top: topOf(model, token.top, topLogprobs),
  }));
  return { text, tokens, finishReason };
}

function readChatChunk(model: ApiModel, { topLogprobs }: GenerateRequest, choice: unknown): Chunk {
  const { delta, logprobs, finish_reason: finishReason } = record(choice, "a choice");
  const content = (delta as { readonly content?: unknown } | undefined)?.content ?? "";
  if (typeof content !== "string") throw new UnusableAnswer("the content of a choice is no text");
  if (topLogprobs === undefined) return { text: content, tokens: piece(model, content), finishReason };
  const list = (logprobs as { readonly content?: unknown } | null | undefined)?.content;
  if (!Array.isArray(list)) return { text: content, tokens: [], finishReason };
  const tokens = list.map((entry): ScoredToken => {
    const { token, logprob, bytes, top_logprobs: top } = record(entry, "logprobs.content");
    if (typeof token !== "string") throw new UnusableAnswer("a token in logprobs.content is no text");
    const alternatives = (Array.isArray(top) ? top : []).map((other) => record(other, "top_logprobs")).filter((other) =>
      !isUnlikely(other.logprob)
    );
    return {
      ...tokenOf(token, idOfText(model.runtime, token), bytes),
      logprob: readLogprob(logprob, `the token ${JSON.stringify(token)}`),
      top: alternatives.slice(0, topLogprobs).map(({ token: text, logprob, bytes }) => ({
        ...tokenOf(String(text), idOfText(model.runtime, String(text)), bytes),
        logprob: readLogprob(logprob, "an alternative"),
      })),
    };
  });
  return { text: content, tokens, finishReason };
}

function piece({ runtime }: ApiModel, text: string): ScoredToken[] {
  return text === "" ? [] : [{ ...tokenOf(text, idOfText(runtime, text)), logprob: null, top: [] }];
}

function topOf({ runtime }: ApiModel, top: readonly (readonly [string, number])[], most: number): ScoredToken["top"] {
  const likeliest = [...top].sort(([, one], [, other]) => other - one).slice(0, most);
  return likeliest.map(([text, logprob]) => ({ ...tokenOf(text, idOfText(runtime, text)), logprob }));
}

function tokenOf(text: string, id: number, bytes?: unknown): Token {
  const own = Array.isArray(bytes) ? bytes as number[] : [...new TextEncoder().encode(text)];
  return { id, text, bytes: own };
}

function countOf(count: unknown): number | undefined {
  return Number.isSafeInteger(count) && (count as number) >= 0 ? count as number : undefined;
}

function defined(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
