/**
 * The streams that the cache understands, by what kind of endpoint sends them.
 *
 * @module
 */

import { type EndpointKind, endpointKind } from "../request/ignore_list.ts";
import { chatCompletions } from "./chat_completions.ts";
import { completions } from "./completions.ts";
import { generateContent } from "./generate_content.ts";
import { languageModel } from "./language_model.ts";
import { messages } from "./messages.ts";
import type { StreamProtocol } from "./protocol.ts";
import { responses } from "./responses.ts";

const PROTOCOLS: Readonly<Partial<Record<EndpointKind, StreamProtocol>>> = {
  chat_completions: chatCompletions,
  completions,
  responses,
  messages,
  generate_content: generateContent,
  language_model: languageModel,
};

/** How an endpoint streams; `undefined` where it does not, or nobody here knows how. */
export function streamProtocol(endpoint: string): StreamProtocol | undefined {
  const kind = endpointKind(endpoint);
  return kind && PROTOCOLS[kind];
}
