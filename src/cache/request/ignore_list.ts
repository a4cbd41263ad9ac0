/**
 * Which fields of a request cannot change what a good answer is, by kind of endpoint. A list of what to leave out, never
 * of what to take in: a field nobody here has heard of changes the key.
 *
 * @module
 */

/** The contract an endpoint follows, told by the end of its path. */
export type EndpointKind =
  | "chat_completions"
  | "completions"
  | "responses"
  | "messages"
  | "embeddings"
  | "generate_content"
  | "embed_content"
  | "language_model";

// The order matters: `/chat/completions` also ends in `/completions`.
const PATHS: readonly (readonly [ending: string, kind: EndpointKind])[] = [
  ["/chat/completions", "chat_completions"],
  ["/completions", "completions"],
  ["/responses", "responses"],
  ["/v1/messages", "messages"],
  ["/embeddings", "embeddings"],
  [":generateContent", "generate_content"],
  [":embedContent", "embed_content"],
  [":batchEmbedContents", "embed_content"],
  // No provider's: the interface that the AI SDK's providers share, see src/interop/ai_sdk.ts.
  ["/ai-sdk/v4/language-model", "language_model"],
];

// Key specification v1, frozen: another list makes every key under it another key.
const IGNORED: Readonly<Record<EndpointKind, readonly string[]>> = {
  chat_completions: ["n", "stream", "stream_options", "user", "metadata", "store"],
  completions: ["n", "stream", "stream_options", "user"],
  responses: ["stream", "stream_options", "user", "metadata"],
  messages: ["stream", "metadata"],
  embeddings: ["user", "encoding_format"],
  generate_content: [],
  embed_content: [],
  language_model: [],
};

/** Further fields to ignore, by endpoint path exactly as in the scope. */
export type IgnoreList = Readonly<Record<string, readonly string[]>>;

/** The contract that an endpoint follows, or `undefined` for one that is not known. Its query, if it has one, does not matter. */
export function endpointKind(endpoint: string): EndpointKind | undefined {
  const query = endpoint.indexOf("?");
  const end = query < 0 ? endpoint.length : query;
  return PATHS.find(([ending]) => endpoint.endsWith(ending, end))?.[1];
}

const MOST_ENDPOINTS = 64;
const NO_FURTHER: IgnoreList = {};
// Asked for every request, and the same for all to an endpoint.
const known = new WeakMap<IgnoreList, Map<string, ReadonlySet<string>>>();

/** Top-level fields of a request to `endpoint` that are not in its key. `extra` must not be changed afterwards. */
export function ignoredFields(endpoint: string, extra: IgnoreList = NO_FURTHER): ReadonlySet<string> {
  let byEndpoint = known.get(extra);
  if (byEndpoint === undefined) known.set(extra, byEndpoint = new Map());
  let fields = byEndpoint.get(endpoint);
  if (fields === undefined) {
    // Paths may have models' and threads' names in them.
    if (byEndpoint.size === MOST_ENDPOINTS) byEndpoint.clear();
    const kind = endpointKind(endpoint);
    const own = Object.hasOwn(extra, endpoint) ? extra[endpoint]! : [];
    byEndpoint.set(endpoint, fields = new Set([...(kind === undefined ? [] : IGNORED[kind]), ...own]));
  }
  return fields;
}
