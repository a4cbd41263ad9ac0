/**
 * Requests that are several requests in one: embeddings and moderations of many texts. Each text is looked up by itself,
 * and one call is made for those that are missing.
 *
 * @module
 */

import type { Clock } from "../../runtime/runtime.ts";
import { CacheError } from "../../store/error.ts";
import { anew } from "../flow/anew.ts";
import { type Answer, type AnswerStamp, isPlainJson, newSample } from "../answer/answer.ts";
import type { Answered, Supplier } from "../flow/answering.ts";
import { Batch } from "./batch.ts";
import type { CacheCallOptions, CacheStatus, Plan } from "../call_options.ts";
import { valueAsSent } from "../request/canonical.ts";
import {
  type EmbeddingsRequest,
  joinEmbeddings,
  readEmbeddings,
  splitEmbeddings,
  type StoredVector,
} from "./embeddings.ts";
import type { Sample } from "../answer/entry.ts";
import { type EndpointKind, endpointKind } from "../request/ignore_list.ts";
import { type InputFault, inputLength, type InputList, shareCost } from "./inputs.ts";
import { decodeText, encodeText, isJsonObject, type JsonObject } from "../json.ts";
import { joinModerations, readModerations, splitModerations } from "./moderations.ts";
import { classify } from "../answer/outcome.ts";
import type { Productions } from "../flow/production.ts";
import type { Reading } from "../request/request.ts";
import type { ReadRequest } from "../request/request_reader.ts";
import { together } from "./statuses.ts";
import { type ProduceContext, wholeAnswers } from "../flow/supplier.ts";

/** How the answers of one kind of endpoint are divided and put together. */
export interface ItemKind {
  /** The contract of its endpoints; `undefined` where no other kind of call knows them. */
  readonly endpoint: EndpointKind | undefined;
  /** Whether a sample is JSON, which `isValid` can be asked about. */
  readonly isJson: boolean;
  /** `undefined` for a request that does not divide. */
  split(body: JsonObject): InputList | undefined;
  /** The answer to each of these items. */
  read(answer: unknown, items: readonly JsonObject[]): readonly unknown[] | InputFault;
  /** One of these answers as it is stored. */
  sample(answer: unknown, stamp: AnswerStamp): Answer;
  /** The answer to the whole request; `undefined` when the samples do not belong together. */
  join(request: InputList, samples: readonly Sample[]): JsonObject | undefined;
}

interface Vector extends StoredVector {
  readonly promptTokens: number | null;
  readonly model: string | null;
}

/** Embeddings: a vector for each text. */
export const EMBEDDINGS: ItemKind = {
  endpoint: "embeddings",
  isJson: false,
  split: splitEmbeddings,
  read(answer, items) {
    const read = readEmbeddings(answer, items);
    if ("fault" in read) return read;
    const { vectors, promptTokens, model } = read;
    return vectors.map((vector, index): Vector => ({ ...vector, promptTokens: promptTokens[index]!, model }));
  },
  sample(answer, stamp) {
    const { bytes, mediaType, promptTokens, model } = answer as Vector;
    const sample = newSample({ model, data: [{}] }, bytes, stamp);
    const usage = promptTokens === null ? undefined : { prompt_tokens: promptTokens, total_tokens: promptTokens };
    return { body: bytes, bills: [{ usage }], samples: [{ ...sample, mediaType, promptTokens }] };
  },
  join: (request, samples) => joinEmbeddings(request as EmbeddingsRequest, samples),
};

/** Moderations: a result for each text. */
export const MODERATIONS: ItemKind = {
  endpoint: undefined,
  isJson: true,
  split: splitModerations,
  read(answer, items) {
    if (!isPlainJson(answer)) return { fault: "it is no plain JSON" };
    const read = readModerations(answer, items);
    return "fault" in read ? read : read.answers;
  },
  sample(answer, stamp) {
    const body = encodeText(JSON.stringify(answer));
    return { body, bills: [answer], samples: [newSample(answer, body, stamp)] };
  },
  join: (request, samples) => joinModerations(request, samples.map((sample) => JSON.parse(decodeText(sample.bytes())))),
};

/** What was answered to one item. */
interface Divided {
  readonly answer: unknown;
  /** Its part of what the caller says that the call cost; `undefined` when he does not say. */
  readonly cost: number | null | undefined;
}

/** An answer to several items that does not say which is whose. */
class Undivided {
  readonly answer: unknown;
  readonly fault: string;
  /** Whether it answers all that was asked. */
  readonly isWhole: boolean;

  constructor(answer: unknown, fault: string, isWhole: boolean) {
    this.answer = answer;
    this.fault = fault;
    this.isWhole = isWhole;
  }
}

/** One of many requests that were answered together. */
export interface OneOfMany {
  /** How it fared, whatever became of it. */
  readonly status: CacheStatus;
  /** Its answer; absent when it failed. */
  readonly answered?: Answered;
  /** What it failed with. */
  readonly failure?: { readonly error: unknown };
}

/** What a request with many items is made of. */
export interface ItemsParts {
  readonly body: object;
  readonly plan: Plan;
  readonly options: CacheCallOptions;
  readonly clock: Clock;
  readonly productions: Productions;
  /** A reason against the cache. */
  readonly bypass: string | undefined;
  readonly produce: (body: object, context: ProduceContext) => Promise<unknown>;
  readonly read: (body: object, reading: Reading) => ReadRequest | Promise<ReadRequest>;
  readonly readAll: (items: readonly object[], reading: Reading) => Promise<ReadRequest[]>;
  readonly answerMany: (
    reads: readonly ReadRequest[],
    plan: Plan,
    batch: Pick<Batch<unknown>, "decide">,
    supplierOf: (read: ReadRequest, index: number) => Supplier,
  ) => Promise<OneOfMany[]>;
  readonly answer: (read: ReadRequest, supplier: Supplier) => Promise<Answered>;
}

/** The requests that one for several inputs is answered as; `undefined` for one that is answered as a whole. */
export function itemsOf(body: object, endpoint: string): readonly JsonObject[] | undefined {
  const kind = endpointKind(endpoint) === EMBEDDINGS.endpoint ? EMBEDDINGS : MODERATIONS;
  const isModeration = endpoint.endsWith("/moderations");
  const items = kind === EMBEDDINGS || isModeration ? divided(kind, body)?.items : undefined;
  // Moderations can be stored whole as well, by `wrap`.
  return isModeration && items !== undefined && items.length > 1 ? [...items, body as JsonObject] : items;
}

/** Answers a request item by item; one that does not divide goes round the cache. */
export async function wrapItems(kind: ItemKind, parts: ItemsParts): Promise<unknown> {
  const { body, options: { status = {}, endpoint = "" }, plan, bypass } = parts;
  if (endpointKind(endpoint) !== kind.endpoint) {
    throw new TypeError(`Cannot divide a request to an endpoint of another kind: ${endpoint}`);
  }
  if (plan.isValid !== undefined && !kind.isJson) {
    throw new TypeError("Cannot ask isValid about embeddings (a vector is no JSON): isValid is a function");
  }
  const request = bypass === undefined ? divided(kind, body) : undefined;
  if (request === undefined) return await goRound(parts, bypass ?? "its input cannot be told apart");
  const first = await answerItems(kind, request, parts, plan);
  Object.assign(status, together(first.map((each) => each.status)));
  const early = resultOf(first);
  if (early !== undefined) return early.answer;
  const whole = kind.join(request, samplesOf(first));
  if (whole !== undefined) return whole;

  // The model's name has come to mean another model: nothing of before belongs to what it says now.
  const why = "what is stored was answered by different models";
  if (plan.mode === "replay") {
    throw new CacheError("replay_miss", `Cannot replay an answer (${why}): model ${modelOf(first)}`);
  }
  const second = await answerItems(kind, request, parts, anew(plan));
  const bought = together([...first, ...second].map((each) => each.status));
  const { costMicrodollars = null } = together(second.map((each) => each.status));
  Object.assign(status, bought, { costMicrodollars, outcome: "miss", why });
  const result = resultOf(second) ?? { answer: kind.join(request, samplesOf(second)) };
  if (result.answer !== undefined) return result.answer;
  throw new TypeError(`Cannot put an answer together (its parts come from different models): ${modelOf(second)}`);
}

/** The request as it is now: what the caller does to it meanwhile changes nothing. */
function divided(kind: ItemKind, body: object): InputList | undefined {
  const sent = valueAsSent(body, "");
  if (!isJsonObject(sent)) return undefined;
  return kind.split({ ...sent, input: Array.isArray(sent.input) ? [...sent.input] : sent.input });
}

async function answerItems(kind: ItemKind, request: InputList, parts: ItemsParts, plan: Plan): Promise<OneOfMany[]> {
  const { clock, productions, produce, readAll, answerMany } = parts;
  const { items } = request;
  const reads = await readAll(items, { isItem: true });
  const batch = new Batch<number>({
    members: reads,
    clock,
    productions,
    async produce(wanted, context) {
      const answer = await produce(request.gather(wanted), context);
      const asked = wanted.map((index) => items[index]!);
      const answers = kind.read(answer, asked);
      if ("fault" in answers) {
        const undivided = new Undivided(answer, answers.fault, wanted.length === items.length);
        return wanted.map(() => undivided);
      }
      const cost = await statedCost(plan, answer);
      const costs = cost === undefined ? [] : shareCost(cost, asked.map(inputLength));
      return answers.map((answer, index): Divided => ({ answer, cost: costs[index] }));
    },
  });
  const priced: Plan = plan.cost === undefined ? plan : { ...plan, cost: (part) => part as number | null };
  return await answerMany(reads, priced, batch, (read, index) =>
    wholeAnswers({
      clock,
      check: () => void read.current(),
      produce: (_, { signal }) => batch.ask(read, index, signal),
      read: (value, _, stamp) => sampleOf(kind, value as Divided | Undivided, stamp),
      isJoint: (error) => batch.isJoint(error),
    }));
}

function sampleOf(kind: ItemKind, value: Divided | Undivided, stamp: AnswerStamp): Answer {
  if (value instanceof Undivided) {
    const body = new Uint8Array();
    return { body, bills: [], samples: [newSample(undefined, body, stamp)], fault: value.fault };
  }
  const answer = kind.sample(value.answer, stamp);
  return value.cost === undefined ? answer : { ...answer, bills: [value.cost] };
}

/** What the caller says that a call cost; `undefined` when he does not say. */
async function statedCost({ cost }: Plan, answer: unknown): Promise<number | null | undefined> {
  try {
    return typeof cost === "function" ? await cost(answer) : cost;
  } catch {
    return null;
  }
}

/**
 * What there is to answer with if the items cannot be put together: what was bought for all of them is what whoever asked
 * has paid for, whatever it is; an error is one for all of them too.
 *
 * @throws what the first of them failed with; TypeError for an answer to some of them that cannot be told apart.
 */
function resultOf(results: readonly OneOfMany[]): { readonly answer: unknown } | undefined {
  for (const { failure } of results) if (failure !== undefined) throw failure.error;
  const undivided = results.map(({ answered }) => answered?.settled.produced?.value)
    .find((value) => value instanceof Undivided);
  if (undivided === undefined) return undefined;
  const { answer, fault, isWhole } = undivided;
  if (isWhole || classify(answer) === "error") return { answer };
  throw new TypeError(`Cannot tell apart what was answered to some of the inputs: ${fault}`, { cause: answer });
}

/** Asks for the whole, and stores nothing. */
async function goRound(parts: ItemsParts, bypass: string): Promise<unknown> {
  const { body, clock, produce, read, answer } = parts;
  const asked = await read(body, { bypass });
  const supplier = wholeAnswers({
    clock,
    check: () => {},
    produce: (_, context) => produce(body, context),
    read: () => undefined,
  });
  const { settled } = await answer(asked, supplier);
  return settled.produced?.value;
}

function samplesOf(results: readonly OneOfMany[]): Sample[] {
  return results.map(({ answered }) => answered!.settled.samples[0]!);
}

function modelOf(results: readonly OneOfMany[]): string {
  return samplesOf(results)[0]!.modelAsked;
}
