/**
 * Asking an endpoint: JSON there, JSON or an event stream back, with patience and an end to it. What comes back is
 * somebody else's, so nothing of it is believed here but its status.
 *
 * @module
 */

import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import { ModelError } from "../error.ts";
import { type ApiEndpoint, checkEndpoint } from "./endpoint.ts";
import { readEvents } from "./event_stream.ts";

/** What a client works with. */
export interface ApiClientParts {
  readonly clock: Clock;
  /** Default: the runtime's own. */
  readonly fetch?: typeof fetch;
  /** Numbers from 0 to 1, which spread the waits. Default: `Math.random`. */
  readonly random?: () => number;
}

/** An answer of 400, 413 or 422: the question is at fault, and may be asked in another way. */
export class RefusedQuestion extends Error {
  override readonly name = "RefusedQuestion";
  /** The word that the endpoint has for it, if it has one. */
  readonly code: string | undefined;
  constructor(message: string, code: string | undefined) {
    super(message);
    this.code = code;
  }
}

/** A failure that may pass. */
class PassingFailure extends Error {
  readonly retryAfter: string | null;
  constructor(message: string, retryAfter: string | null, options?: ErrorOptions) {
    super(message, options);
    this.retryAfter = retryAfter;
  }
}

/** The wait before the second attempt, doubled each time. */
const FIRST_WAIT: Milliseconds = 500;
/** No wait is longer, whatever the endpoint asks for. */
const LONGEST_WAIT: Milliseconds = 60_000;
/** Of an endpoint's own words, so many characters are repeated. */
const MOST_WORDS = 300;
/** Shorter keys are words such as `none` or `EMPTY`, which stand for no key. */
const SHORTEST_SECRET = 8;

/** One endpoint. */
export class ApiClient {
  /** Its base URL, in the one form. */
  readonly url: string;
  /** How many questions of one caller are under way at once. */
  readonly concurrency: number;
  readonly #apiKey: string | undefined;
  readonly #timeout: Milliseconds;
  readonly #attempts: number;
  readonly #clock: Clock;
  readonly #fetch: typeof fetch;
  readonly #random: () => number;

  /** @throws as {@link checkEndpoint} does. */
  constructor(endpoint: ApiEndpoint, { clock, fetch = globalThis.fetch, random = Math.random }: ApiClientParts) {
    const { url, apiKey, timeout, attempts, concurrency } = checkEndpoint(endpoint);
    this.url = url;
    this.concurrency = concurrency;
    this.#apiKey = apiKey;
    this.#timeout = timeout;
    this.#attempts = attempts;
    this.#clock = clock;
    this.#fetch = fetch;
    this.#random = random;
  }

  /**
   * Posts a body and parses the answer.
   *
   * @throws RefusedQuestion; ModelError `endpoint_failed`, `run_timeout`, `model_not_found`; the signal's reason.
   */
  async ask(path: string, body: object, signal: AbortSignal): Promise<unknown> {
    return await this.#patiently(path, signal, async () => {
      const patience = this.#patience(signal);
      try {
        const response = await this.#post(path, body, patience.signal);
        const text = await response.text();
        try {
          return JSON.parse(text);
        } catch {
          throw this.failure(path, "answered with what is no JSON", text);
        }
      } catch (error) {
        throw this.#explained(error, patience.signal, signal);
      } finally {
        patience.end();
      }
    });
  }

  /**
   * Posts a body and yields the `data` of the events that come back, parsed, until `[DONE]`. Tries again until the first
   * of them is there, and not after that: what was read cannot be unread.
   *
   * @throws as {@link ask} does; `endpoint_failed` too for a stream that ends before `[DONE]`.
   */
  async *stream(path: string, body: object, signal: AbortSignal): AsyncGenerator<unknown> {
    const patience = this.#patience(signal);
    try {
      const events = await this.#patiently(path, signal, async () => {
        patience.renew();
        try {
          const response = await this.#post(path, body, patience.signal);
          if (response.body === null) throw this.failure(path, "answered without a body");
          const events = readEvents(response.body);
          return { first: await events.next(), events };
        } catch (error) {
          throw this.#explained(error, patience.signal, signal);
        } finally {
          patience.pause();
        }
      });
      try {
        for (let next = events.first;; next = await events.events.next()) {
          if (next.done) throw this.failure(path, "ended its stream in the middle of an answer");
          if (next.value === "[DONE]") return;
          patience.pause();
          yield this.#parsed(path, next.value);
          patience.renew();
        }
      } catch (error) {
        const explained = this.#explained(error, patience.signal, signal);
        throw explained instanceof PassingFailure ? this.failure(path, explained.message) : explained;
      } finally {
        await events.events.return(undefined);
      }
    } finally {
      patience.end();
    }
  }

  /** What is wrong with an endpoint, in words that name it. */
  failure(path: string, problem: string, received?: string): ModelError {
    const words = received === undefined ? "" : `: ${this.#repeated(received)}`;
    return new ModelError("endpoint_failed", `The endpoint ${this.url}${path} ${this.#withoutKey(problem)}${words}`);
  }

  /** An endpoint's own words, as they may be shown. */
  #repeated(words: string): string {
    const hidden = this.#withoutKey(words);
    return hidden.length > MOST_WORDS ? `${hidden.slice(0, MOST_WORDS)}…` : hidden;
  }

  /** Some repeat the key that they refuse, and messages go into logs and answers. */
  #withoutKey(words: string): string {
    const isSecret = this.#apiKey !== undefined && this.#apiKey.length >= SHORTEST_SECRET;
    return isSecret ? words.replaceAll(this.#apiKey!, "[key]") : words;
  }

  #parsed(path: string, data: string): unknown {
    let event: { readonly error?: { readonly message?: unknown } };
    try {
      event = JSON.parse(data);
    } catch {
      throw this.failure(path, "sent an event that is no JSON", data);
    }
    if (event?.error) throw this.failure(path, "broke off with an error", String(event.error.message ?? data));
    return event;
  }

  async #post(path: string, body: object, signal: AbortSignal): Promise<Response> {
    let response: Response;
    try {
      response = await this.#fetch(`${this.url}${path}`, {
        method: "POST",
        headers: {
          "Content-Type": "application/json",
          ...(this.#apiKey === undefined ? {} : { Authorization: `Bearer ${this.#apiKey}` }),
        },
        body: JSON.stringify(body),
        // Whoever wrote the URL chose this host and no other.
        redirect: "manual",
        signal,
      });
    } catch (cause) {
      if (signal.aborted) throw cause;
      throw new PassingFailure(`cannot be reached (${(cause as Error).message})`, null, { cause });
    }
    if (response.ok) return response;
    const words = await response.text().catch(() => "");
    throw this.#refusal(path, response, words);
  }

  #refusal(path: string, { status, headers }: Response, words: string): Error {
    const error = readError(words);
    const [message, code] = [this.#repeated(error.message), error.code];
    if (status === 408 || status === 429 || status >= 500) {
      return new PassingFailure(`answered ${status}: ${message}`, headers.get("Retry-After"));
    }
    switch (status) {
      case 400:
      case 413:
      case 422:
        return new RefusedQuestion(message, code);
      case 404: {
        const error = `The endpoint ${this.url} knows no such model, or has nothing at ${path}: ${message}`;
        return new ModelError("model_not_found", error, { permanent: true });
      }
      case 401:
      case 403:
        return this.failure(path, `refuses the key (${status}); give one in apiKey`, message);
    }
    // A redirection that is not followed is shown as 0 by browsers.
    const isRedirect = status === 0 || (status >= 300 && status < 400);
    return this.failure(path, isRedirect ? "leads elsewhere; name the place itself" : `answered ${status}`, message);
  }

  async #patiently<T>(path: string, signal: AbortSignal, attempt: () => Promise<T>): Promise<T> {
    for (let failures = 1;; failures++) {
      signal.throwIfAborted();
      try {
        return await attempt();
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof PassingFailure)) throw error;
        if (failures >= this.#attempts) {
          throw this.failure(path, `was asked ${failures} times and ${error.message}`);
        }
        await this.#clock.sleep(this.#wait(failures, error.retryAfter), { signal });
      }
    }
  }

  #wait(failures: number, retryAfter: string | null): Milliseconds {
    const wait = FIRST_WAIT * 2 ** (failures - 1) * (1 + this.#random() / 2);
    return Math.min(Math.max(this.#asked(retryAfter), wait), LONGEST_WAIT);
  }

  /** Seconds, or a date. https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3 */
  #asked(retryAfter: string | null): Milliseconds {
    if (retryAfter === null) return 0;
    if (/^\d+$/.test(retryAfter)) return Number(retryAfter) * 1000;
    const date = Date.parse(retryAfter);
    return Number.isNaN(date) ? 0 : date - this.#clock.now();
  }

  /** What was thrown, or why everything was ended. */
  #explained(error: unknown, patience: AbortSignal, signal: AbortSignal): unknown {
    if (signal.aborted) return signal.reason;
    if (patience.aborted) return patience.reason;
    if (error instanceof ModelError || error instanceof RefusedQuestion || error instanceof PassingFailure) {
      return error;
    }
    // The connection broke in the middle of an answer.
    return new PassingFailure(`broke off (${(error as Error).message})`, null, { cause: error });
  }

  /** A signal that is aborted with the caller's, or when the time is up; `renew` starts the time anew. */
  #patience(signal: AbortSignal): { readonly signal: AbortSignal; renew(): void; pause(): void; end(): void } {
    const work = new AbortController();
    const giveUp = (): void => work.abort(signal.reason);
    if (signal.aborted) giveUp();
    else signal.addEventListener("abort", giveUp, { once: true });
    let alarm = new AbortController();
    const start = (): void => {
      this.#clock.sleep(this.#timeout, { signal: alarm.signal, background: true }).then(() => {
        const message = `The endpoint ${this.url} was silent for ${this.#timeout / 1000} s`;
        work.abort(new ModelError("run_timeout", message));
      }, () => {});
    };
    start();
    return {
      signal: work.signal,
      renew: () => {
        alarm.abort();
        alarm = new AbortController();
        start();
      },
      pause: () => alarm.abort(),
      end: () => {
        alarm.abort();
        signal.removeEventListener("abort", giveUp);
        // Closes the connection of an answer that nobody reads to its end.
        work.abort();
      },
    };
  }
}

/** OpenAI's form of an error, `{ error: { message, code } }`, vLLM's `{ message, code }`, or whatever was sent. */
function readError(words: string): { readonly message: string; readonly code: string | undefined } {
  try {
    const body = JSON.parse(words);
    const error = typeof body?.error === "object" && body.error !== null ? body.error : body;
    const message = typeof error?.message === "string" ? error.message : words;
    return { message, code: typeof error?.code === "string" ? error.code : undefined };
  } catch {
    return { message: words, code: undefined };
  }
}
