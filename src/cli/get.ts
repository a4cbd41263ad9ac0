/**
 * `get`: a stored answer, by its key or by its request. Looking at it counts as no lookup in the statistics.
 *
 * @module
 */

import { type Entry, entryOf } from "../cache/answer/entry.ts";
import { asJson } from "../cache/answer/recorded_sample.ts";
import { sampleShape } from "../cache/answer/samples.ts";
import { resolveScope } from "../cache/request/scope.ts";
import type { StoredRequest } from "../cache/request/stored_request.ts";
import type { ResponseCache } from "../cache/response_cache.ts";
import { streamProtocol } from "../cache/stream/protocols.ts";
import { readEnvironment } from "../compose/environment.ts";
import type { OpenedCache } from "../compose/open_cache.ts";
import { answerTexts } from "../cache/answer/answer_text.ts";
import { toBase64 } from "../runtime/base64.ts";
import type { StoredEntry } from "../store/store.ts";
import { type CommandParts, FAILED, withCache } from "./command.ts";
import type { Console } from "./console.ts";
import { readRequest, type ScopeFlags, scopeOf } from "./request_input.ts";
import { answersTo, requestBegun } from "./stored.ts";
import { harmless } from "./text_width.ts";

/** What is meant, and what of it is wanted. */
export interface GetFlags extends ScopeFlags {
  /** A file with the request, `-` for standard input. */
  readonly request?: string;
  readonly model?: string;
  /** One of several samples, from 0. */
  readonly sample?: number;
  readonly pack?: string;
}

/** Runs the command. */
export async function get(parts: CommandParts, key: string | undefined, flags: GetFlags): Promise<number | void> {
  if ((key === undefined) === (flags.request === undefined)) {
    throw new TypeError("Cannot tell which answer is meant: give a key, or a request by --request");
  }
  return await withCache(parts, async (opened) => {
    const { console } = parts;
    const request = key === undefined
      ? await byRequest(parts, opened.cache, flags)
      : await byKey(parts, opened, key, flags);
    const stored = await answersTo(opened.store, request);
    if (stored.length === 0) {
      await console.fail(new Error(`Cannot get an answer that may be served now: none of ${request.key} is left`));
      return FAILED;
    }
    const answers = chosen(stored, flags.sample).map((each) => answerOf(request, each));
    if (console.isJson) await console.printJson({ ...request, answers: answers.map(described) });
    else await printAnswers(console, answers);
  }, { pack: flags.pack });
}

async function byKey(
  { runtime: { clock }, signal }: CommandParts,
  { store }: OpenedCache,
  key: string,
  { model, namespace }: GetFlags,
): Promise<StoredRequest> {
  const place = { ...model !== undefined && { model }, ...namespace !== undefined && { namespace } };
  return await requestBegun({ store, clock, signal }, key, place);
}

/** The request as it would be stored, whether it is or not. */
async function byRequest({ runtime }: CommandParts, cache: ResponseCache, flags: GetFlags): Promise<StoredRequest> {
  const body = await readRequest(runtime, flags.request!);
  const scope = scopeOf(flags);
  const { key, samples, text } = await cache.explain(body, scope);
  if (key === null || samples === 0) throw new Error(`Cannot get an answer that is not stored. ${text}`);
  const own = readEnvironment(runtime).namespace ?? "";
  const { provider, endpoint, namespace, identity, model } = resolveScope(body, scope, own);
  return { key, model, namespace, provider, endpoint, identity, body };
}

interface Answer {
  readonly sample: number;
  readonly entry: Entry;
}

function answerOf({ endpoint, body }: StoredRequest, stored: StoredEntry): Answer {
  const shape = sampleShape(endpoint, { ...body, n: 1 });
  return { sample: stored.sample, entry: entryOf([asJson(stored, streamProtocol(endpoint), shape)]) };
}

function chosen(stored: readonly StoredEntry[], sample: number | undefined): readonly StoredEntry[] {
  if (sample === undefined) return stored;
  const one = stored[sample];
  if (one !== undefined) return [one];
  throw new RangeError(`Cannot get a sample that is not there (there are ${stored.length}, from 0): ${sample}`);
}

/** An answer, as `--json` prints it. */
function described({ sample, entry }: Answer): object {
  const { mediaType, outcome, modelAnswered, fingerprint, usage, costMicrodollars, latency, created, expires } = entry;
  const isJson = mediaType.includes("json");
  return {
    sample,
    outcome,
    modelAnswered,
    fingerprint,
    usage,
    costMicrodollars,
    latency,
    created,
    expires,
    mediaType,
    ...isJson ? { body: entry.json() } : { base64: toBase64(entry.bytes()) },
  };
}

async function printAnswers(console: Console, answers: readonly Answer[]): Promise<void> {
  for (const answer of answers) {
    if (answers.length > 1 && console.isSeen) await console.print(console.paint(`sample ${answer.sample}`, "dim"));
    await printAnswer(console, answer);
  }
}

/** What it says in words; where that is nothing, the whole of it. */
async function printAnswer(console: Console, { entry }: Answer): Promise<void> {
  if (!entry.mediaType.includes("json")) {
    throw new Error(`Cannot print an answer that is no text; --json has it in base64: ${entry.mediaType}`);
  }
  const texts = answerTexts(entry.json());
  const all = texts.length === 0 ? [JSON.stringify(entry.json(), null, 2)] : texts;
  // Another program gets it as it is; on a terminal it must not be an order.
  for (const text of all) await console.print(console.isSeen ? harmless(text) : text);
}
