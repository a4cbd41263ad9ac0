/**
 * Calls that failed, remembered by request: a provider that refuses a request as such will refuse it again, so for a
 * short while nobody asks it; and processes that waited for a call that failed elsewhere learn why.
 *
 * @module
 */

import { messageOf } from "../../runtime/message.ts";
import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import { CacheError } from "../../store/error.ts";
import type { FailureRecord, Failures } from "../../store/store.ts";
import { featureOf, NO_FEATURE } from "../explain/election.ts";
import { decodeText, encodeText, isJsonObject, type JsonObject } from "../json.ts";
import type { Journal } from "../ledger/journal.ts";
import type { CacheRequest } from "../request/request.ts";
import type { Bought } from "./settled.ts";

/**
 * HTTP status codes (RFC 9110) by which a provider refuses the request itself, not the caller, the moment or the load:
 * the same request will be refused again.
 */
const PERMANENT: ReadonlySet<unknown> = new Set([400, 404, 405, 410, 413, 414, 415, 422]);

/** Of these, those that would be said to any body: there is no such model, or no such path. */
const OF_ANY_BODY: ReadonlySet<unknown> = new Set([404, 405, 410]);

/** Bytes of an error that stores take. */
const MOST_BYTES = 16 * 1024;
/** UTF-16 code units that are remembered of its message, and of its other facts. */
const LONGEST_MESSAGE = 2048;
const LONGEST_FACT = 256;

/** Remembers failures, as far as the store can. Nothing here ever fails. */
export class FailureMemory {
  readonly #failures: Failures | undefined;
  readonly #clock: Clock;
  readonly #journal: Journal;
  readonly #negativeTtl: Milliseconds;

  /** `negativeTtl` is for how long a request that was refused for good is not tried again; 0 for not at all. */
  constructor(failures: Failures | undefined, clock: Clock, journal: Journal, negativeTtl: Milliseconds) {
    this.#failures = failures;
    this.#clock = clock;
    this.#journal = journal;
    this.#negativeTtl = negativeTtl;
  }

  /**
   * The error with which a request that failed so last need not be tried now; `undefined` when it may be. What the key
   * leaves out, such as `n` or `stream_options`, may be what was refused: then it is another question.
   */
  refusal(request: CacheRequest, record: FailureRecord | undefined): CacheError | undefined {
    if (this.#negativeTtl === 0 || record === undefined || record.expires === null) return undefined;
    const left = record.expires - this.#clock.now();
    // A clock that was set back must not make it last.
    if (left <= 0 || left > this.#negativeTtl) return undefined;
    const { status, asked } = read(record.error);
    if (!OF_ANY_BODY.has(status) && asked !== askedBy(request)) return undefined;
    return asError(record, `refused as such before; not tried again for ${Math.ceil(left / 1000)} s`);
  }

  /**
   * What became of the calls by other processes since `before` was the last failure: one failed, or brought an answer
   * that was not kept, so that there is no `failure`; `undefined` when neither happened.
   */
  async since(
    request: CacheRequest,
    before: FailureRecord | undefined,
  ): Promise<{ readonly failure?: CacheError } | undefined> {
    const record = await this.last(request);
    if (record === undefined || (record.count === before?.count && record.last === before.last)) return undefined;
    return read(record.error).unkept === true ? {} : { failure: asError(record, "another process's call failed") };
  }

  /** The last failure of a request, if there was one. */
  async last({ model, key }: CacheRequest): Promise<FailureRecord | undefined> {
    try {
      return await this.#failures?.last(model, key);
    } catch (error) {
      this.#journal.remember(error);
      return undefined;
    }
  }

  /** Remembers what a call failed with. One for several requests says of none that it will be refused again. */
  async record(request: CacheRequest, { error, isJoint = false }: NonNullable<Bought["failure"]>): Promise<void> {
    await this.#record(request, () => describe(error), isJoint);
  }

  /** Remembers that a call brought an answer, but not one to be kept. */
  async recordUnkept(request: CacheRequest, why: string): Promise<void> {
    await this.#record(request, () => ({ message: why, unkept: true }), false);
  }

  async #record(
    request: CacheRequest,
    describe: () => JsonObject,
    isJoint: boolean,
  ): Promise<void> {
    try {
      const { model, key } = request;
      const facts = { ...describe(), asked: askedBy(request) };
      const last = this.#clock.now();
      const isPermanent = !isJoint && this.#negativeTtl > 0 && PERMANENT.has((facts as JsonObject).status);
      const expires = isPermanent ? last + this.#negativeTtl : null;
      await this.#failures?.record(model, key, { last, expires, error: written(facts) });
    } catch (error) {
      this.#journal.remember(error);
    }
  }
}

/** What was recorded of a failure, for people: its name and message. */
export function failureText({ error }: FailureRecord): string {
  const { name, message } = read(error);
  return [name, message].filter((text) => typeof text === "string" && text !== "").join(": ") || "unknown";
}

/** What can be told of an error without knowing its class: no stack, no headers, nothing of the caller's. */
function describe(error: unknown): JsonObject {
  const { name, status, code, type, param, body } = Object(error) as JsonObject;
  const facts = Object.entries({ name, status, code, type, param }).flatMap(([name, value]) => {
    if (typeof value === "number") return [[name, value]];
    return typeof value === "string" ? [[name, value.slice(0, LONGEST_FACT)]] : [];
  });
  const message = messageOf(error).slice(0, LONGEST_MESSAGE);
  return { ...Object.fromEntries(facts), message, ...(typeof body === "string" && { body }) };
}

/** As a store takes it: a body that is too long is left out. */
function written({ body, ...facts }: JsonObject): Uint8Array {
  const whole = encodeText(JSON.stringify({ ...facts, body }));
  return whole.length <= MOST_BYTES ? whole : encodeText(JSON.stringify(facts));
}

/** What was asked besides what the key says, as a number: it may be somebody's name, which is not to be stored. */
function askedBy(request: CacheRequest): number {
  return featureOf(NO_FEATURE, `${request.shape.samples} ${request.unkeyed()}`);
}

function asError(record: FailureRecord, how: string): CacheError {
  const { message, asked: _, ...facts } = read(record.error);
  const cause = Object.assign(new Error(String(message ?? "unknown")), facts);
  const text = `Cannot get an answer (${how}): ${failureText(record)}`;
  return new CacheError("call_failed", text, { cause });
}

function read(error: Uint8Array): JsonObject {
  try {
    const value: unknown = JSON.parse(decodeText(error));
    return isJsonObject(value) ? value : {};
  } catch {
    return {};
  }
}
