/**
 * Which requests over HTTP the cache can answer, and what they ask. One rule for the fetch wrapper and the proxy, so that
 * they find each other's entries.
 *
 * @module
 */

import { splitEmbeddings } from "../batch/embeddings.ts";
import { decodeText, isJsonObject, type JsonObject } from "../json.ts";
import { type Target, targetOf } from "../request/endpoint.ts";
import { type EndpointKind, endpointKind } from "../request/ignore_list.ts";
import { parseRequest } from "../request/raw_json.ts";
import { seal } from "../request/sealed.ts";
import { sampleShape } from "../answer/samples.ts";
import { answeredBefore } from "./answered_questions.ts";
import { isOf } from "./provider_answer.ts";

/** What a client asks for, if the cache can answer such things. */
export interface Question {
  readonly endpoint: string;
  readonly kind: EndpointKind;
  /** Whether the address itself asks for a stream. */
  readonly isStreamed: boolean;
  /** The body as it came. */
  readonly text: string;
  readonly body: JsonObject;
  readonly bypass: string | undefined;
  /** Whether the answer is to come in a stream of events, or in parts that are cached each by itself. */
  readonly form: "whole" | "stream" | "embeddings";
}

/** A request, as it is made or as it would be made to the provider. */
export interface AskedOverHttp {
  readonly method: string;
  readonly url: URL;
  readonly headers: Headers;
  /** The body's bytes. Called once at most, and only where the rest of the request may be a question. */
  bytes(): Promise<Uint8Array>;
}

/**
 * Reads a request; `undefined` where the cache has nothing to do with it.
 *
 * @param ignoreHeaders names of headers that change no answer, besides those that are known not to.
 * @throws what reading the body throws.
 */
export async function readQuestion(
  { method, url, headers, bytes }: AskedOverHttp,
  ignoreHeaders?: readonly string[],
): Promise<Question | undefined> {
  if (method !== "POST" || !isOf("application/json", headers)) return undefined;
  const target = await targetOf(url, headers, ignoreHeaders);
  const kind = target && endpointKind(target.endpoint);
  if (target === undefined || kind === undefined) return undefined;
  const { endpoint } = target;
  const sent = await bytes();
  const beta = headers.has("anthropic-beta") ? "a header changes what is answered: anthropic-beta" : undefined;
  try {
    const text = decodeText(sent);
    const known = answeredBefore(text);
    const isSame = known?.endpoint === endpoint && known.isStreamed === target.streams && beta === undefined;
    if (isSame) return known;
    const { body, unkeyable } = parseRequest(text);
    if (!isJsonObject(body)) return undefined;
    seal(body);
    sampleShape(endpoint, body);
    const bypass = unkeyable ?? beta;
    const divides = kind === "embeddings" && bypass === undefined && splitEmbeddings(body) !== undefined;
    const form = divides ? "embeddings" : streams(target, kind, body) ? "stream" : "whole";
    return { endpoint, kind, isStreamed: target.streams, text, body, bypass, form };
  } catch {
    // No JSON, or no number of samples: the provider knows best what to say to it.
    return undefined;
  }
}

const BY_ADDRESS: readonly EndpointKind[] = ["embeddings", "generate_content", "embed_content"];

/** Whether the answer is to come as a stream. Where the address says so, a `stream` in the body means nothing. */
function streams(target: Target, kind: EndpointKind, { stream }: JsonObject): boolean {
  return target.streams || (!BY_ADDRESS.includes(kind) && Boolean(stream));
}
