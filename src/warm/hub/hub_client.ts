/**
 * Hugging Face's HTTP interface, as much of it as fetching a model takes. Redirects are followed by hand, since files
 * come from another host than the one the token is for.
 * https://huggingface.co/docs/hub/api
 *
 * @module
 */

import { messageOf } from "../../runtime/message.ts";
import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import { PullError } from "./pull_error.ts";
import { isPassing, PassingError, Retries, type RetryOptions } from "./retries.ts";

/** How to reach a hub. */
export interface HubClientOptions {
  readonly clock: Clock;
  /** `https://huggingface.co`, or a mirror of it. */
  readonly endpoint: string;
  /** Sent to the endpoint, and to nobody it redirects to. */
  readonly token?: string | undefined;
  readonly retries?: RetryOptions | undefined;
  /** How long the hub may be silent. Default: 60 s. */
  readonly silence?: Milliseconds | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A repository at a revision. */
export interface RepositoryInfo {
  /** The commit that the revision pointed to. */
  readonly commit: string;
  /** Paths of its files. */
  readonly files: readonly string[];
}

/** What the hub says of a file before it sends it. */
export interface FileInfo {
  /** SHA-256 of a large file, SHA-1 of a small one as a Git blob; lower-case hexadecimal digits. */
  readonly etag: string;
  /** In bytes. */
  readonly size: number;
}

const MAX_REDIRECTS = 10;
const CHECKSUM = /^([0-9a-f]{40}|[0-9a-f]{64})$/;
const COMMIT = /^[0-9a-f]{40}$/;

/** What may stand in a header. Runtimes refuse others in words that have the token in them. */
const TOKEN = /^[\x21-\x7e]+$/;

/** Speaks to one hub. */
export class HubClient {
  readonly #endpoint: string;
  readonly #token: string | undefined;
  readonly #clock: Clock;
  readonly #retry: RetryOptions;
  readonly #silence: Milliseconds;
  readonly #signal: AbortSignal | undefined;
  readonly #options: HubClientOptions;

  /** @throws TypeError when the endpoint is no HTTP URL, or the token none. */
  constructor(options: HubClientOptions) {
    const { clock, endpoint, token, retries = {}, silence = 60_000, signal } = options;
    this.#options = options;
    if (!isEndpoint(endpoint)) {
      const shown = endpoint.replace(/\/\/[^/]*@/, "//…@");
      throw new TypeError(`Cannot reach a hub: endpoint is no HTTP URL of host and path: ${shown}`);
    }
    if (token !== undefined && !TOKEN.test(token)) {
      throw new TypeError("Cannot reach a hub: the token has characters that no token has");
    }
    this.#endpoint = endpoint.replace(/\/+$/, "");
    this.#token = token;
    this.#clock = clock;
    this.#retry = retries;
    this.#silence = silence;
    this.#signal = signal;
  }

  /** The same hub, for work that ends with another signal. */
  until(signal: AbortSignal): HubClient {
    return new HubClient({ ...this.#options, signal });
  }

  /** Attempts that count towards one piece of work. */
  retries(): Retries {
    return new Retries(this.#clock, this.#retry, this.#signal);
  }

  /**
   * What is in a repository.
   *
   * @throws PullError
   */
  async repository(id: string, revision: string): Promise<RepositoryInfo> {
    const url = `${this.#endpoint}/api/models/${id}/revision/${encodeURIComponent(revision)}`;
    return await this.retries().run(`ask what is in ${id}`, async () => {
      const response = await this.#request(url, {});
      await this.#refuseFailure(response, `${id} at ${revision}`);
      const answer: unknown = await this.#within(response.json(), url);
      const { sha, siblings } = (answer ?? {}) as { sha?: unknown; siblings?: unknown };
      if (typeof sha !== "string" || !COMMIT.test(sha) || !Array.isArray(siblings)) {
        throw new PullError("unreachable", `Cannot ask what is in ${id}: the answer is not a hub's: ${url}`);
      }
      const files = siblings.map((sibling: { rfilename?: unknown } | null) => sibling?.rfilename);
      return { commit: sha, files: files.filter((name) => typeof name === "string") };
    });
  }

  /**
   * Size and checksum of a file.
   *
   * @throws PullError
   */
  async file(id: string, commit: string, path: string): Promise<FileInfo> {
    return await this.retries().run(`ask for ${path}`, async () => {
      // Compressed answers have the length of something else.
      const response = await this.#request(this.#fileUrl(id, commit, path), {
        method: "HEAD",
        headers: { "Accept-Encoding": "identity" },
        // A redirect to the content says all there is to know, and what it leads to knows other checksums.
        isAnswer: ({ headers }) => headers.has("X-Linked-Etag"),
      });
      await response.body?.cancel();
      await this.#refuseFailure(response, `${path} of ${id}`);
      const { headers } = response;
      const etag = (headers.get("X-Linked-Etag") ?? headers.get("ETag") ?? "").replace(/^W\//, "").replaceAll('"', "");
      const size = Number((headers.get("X-Linked-Size") ?? headers.get("Content-Length")) || NaN);
      if (!CHECKSUM.test(etag) || !Number.isSafeInteger(size) || size < 0) {
        const received = `ETag ${JSON.stringify(etag)}, size ${size}`;
        throw new PullError(
          "unreachable",
          `Cannot fetch ${path} of ${id}: the hub names no checksum or size: ${received}`,
        );
      }
      return { etag, size };
    });
  }

  /**
   * A file's bytes from `start` on. The answer may be the whole file (200), or say that there are none (416).
   *
   * @throws PullError; PassingError when it may be answered later.
   */
  async open(id: string, commit: string, path: string, start: number): Promise<Response> {
    const headers: Record<string, string> = { "Accept-Encoding": "identity" };
    if (start > 0) headers.Range = `bytes=${start}-`;
    const response = await this.#request(this.#fileUrl(id, commit, path), { headers });
    if (response.status !== 416) await this.#refuseFailure(response, `${path} of ${id}`);
    return response;
  }

  /**
   * Waits for one more piece of an answer, and not for ever.
   *
   * @throws PassingError when the connection fails, or the hub is silent for too long.
   */
  async #within<T>(work: Promise<T>, what: string, hangUp?: AbortController): Promise<T> {
    const over = new AbortController();
    const silence = this.#clock.sleep(this.#silence, { signal: over.signal, background: true }).then(() => {
      throw new Error(`the hub has been silent for ${this.#silence / 1000} s: ${what}`);
    });
    // Whichever loses the race may still fail.
    for (const each of [work, silence]) each.catch(() => {});
    try {
      return await Promise.race([work, silence]);
    } catch (error) {
      hangUp?.abort();
      throw new PassingError(messageOf(error));
    } finally {
      over.abort();
    }
  }

  /** The pieces of an answer's body. Leaving the loop hangs up. */
  async *pieces(response: Response): AsyncIterable<Uint8Array> {
    const reader = response.body?.getReader();
    if (reader === undefined) return;
    try {
      for (;;) {
        const { done, value } = await this.#within(reader.read(), response.url);
        if (done) return;
        yield value;
      }
    } finally {
      await reader.cancel().catch(() => {});
    }
  }

  #fileUrl(id: string, commit: string, path: string): string {
    return `${this.#endpoint}/${id}/resolve/${commit}/${path.split("/").map(encodeURIComponent).join("/")}`;
  }

  async #request(
    url: string,
    { isAnswer = () => false, headers = {}, ...init }: RequestInit & {
      headers?: Record<string, string>;
      /** Whether a redirect is itself what was asked for. */
      isAnswer?: (response: Response) => boolean;
    },
  ): Promise<Response> {
    const { origin } = new URL(this.#endpoint);
    let target = new URL(url);
    for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
      const authorised = this.#token !== undefined && target.origin === origin
        ? { ...headers, Authorization: `Bearer ${this.#token}` }
        : headers;
      const hangUp = new AbortController();
      const signal = AbortSignal.any([hangUp.signal, ...(this.#signal === undefined ? [] : [this.#signal])]);
      const response = await this.#within(
        fetch(target, { ...init, headers: authorised, redirect: "manual", signal }),
        target.href,
        hangUp,
      );
      const location = response.headers.get("Location");
      if (response.status < 300 || response.status > 399 || location === null || isAnswer(response)) return response;
      await response.body?.cancel();
      target = redirected(target, location);
    }
    throw new PullError("unreachable", `Cannot follow more than ${MAX_REDIRECTS} redirects: ${url}`);
  }

  /** Turns an answer that is none into an error; one that may pass says so. */
  async #refuseFailure(response: Response, what: string): Promise<void> {
    const { status, headers } = response;
    if (status < 400) return;
    await response.body?.cancel();
    const said = headers.get("X-Error-Message");
    const details = said === null ? "" : ` (the hub says: ${said})`;
    if (isPassing(status)) {
      throw new PassingError(`the hub answers ${status}${details}`, headers.get("Retry-After") ?? undefined);
    }
    const error = headers.get("X-Error-Code");
    if (error === "GatedRepo" || status === 403) {
      const help = this.#token === undefined ? "set HF_TOKEN to a token that may read it" : "the token may not read it";
      throw new PullError(
        "refused",
        `Cannot fetch ${what}: it is gated; ask for access on its page at ${this.#endpoint}, and ${help}${details}`,
      );
    }
    if (status === 401) {
      // A hub does not say of private repositories that they exist.
      const help = this.#token === undefined
        ? "there is no such repository, or it is private; set HF_TOKEN to read private ones"
        : "the token in HF_TOKEN is not valid, or there is no such repository";
      throw new PullError("refused", `Cannot fetch ${what}: ${help}${details}`);
    }
    if (status === 404) {
      const missing = error === "RevisionNotFound" ? "there is no such revision" : "there is no such thing on the hub";
      throw new PullError("not_found", `Cannot fetch ${what}: ${missing}${details}`);
    }
    throw new PullError("unreachable", `Cannot fetch ${what}: the hub answers ${status}${details}`);
  }
}

/** A host, and a path perhaps: what else a URL may have would stand in the middle of what is asked for. */
function isEndpoint(endpoint: string): boolean {
  if (!/^https?:\/\/[^?#]+$/.test(endpoint) || !URL.canParse(endpoint)) return false;
  const { username, password } = new URL(endpoint);
  return username === "" && password === "";
}

/** Where a redirect leads to, which is another server and nothing else: Deno's `fetch` reads files, too. */
function redirected(from: URL, location: string): URL {
  const to = URL.canParse(location, from) ? new URL(location, from) : undefined;
  const problem = to === undefined || !["http:", "https:"].includes(to.protocol)
    ? "Cannot follow a redirect to what is no HTTP URL"
    : from.protocol === "https:" && to.protocol !== "https:"
    ? "Refusing to go on without encryption"
    : undefined;
  if (problem !== undefined) throw new PullError("unreachable", `${problem}: ${from.origin} sends to ${location}`);
  return to!;
}
