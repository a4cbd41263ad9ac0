/**
 * What a store says of its own soundness: types that every store's answer has, and a walk by way of lookups for stores
 * that cannot look deeper. Reports are plain data, so that they can be printed, sent and compared.
 *
 * @module
 */

import { hexOf } from "../runtime/hex.ts";
import { messageOf } from "../runtime/message.ts";
import type { Key, RequestRecord, Store } from "./store.ts";
import { CacheError } from "./error.ts";

/**
 * What is wrong with something stored. Errors, which make a report not `ok`:
 *
 * - `corrupt`: an answer or a request whose checksum does not hold; it is a miss.
 * - `undecodable`: an answer whose checksum holds, but that does not decompress.
 * - `dictionary`: a dictionary that is missing though an answer needs it, or is not what its id stands for.
 * - `index`: an index and its table do not agree: an answer that is there is not found, or an entry leads nowhere.
 * - `structure`: the file's pages do not hang together.
 * - `unreadable`: something could not be looked at: a file, a range of rows.
 *
 * Notes, which are nobody's fault or do no harm:
 *
 * - `expired`: an answer whose time has passed, and that is still there.
 * - `stale`: a row of an older version.
 * - `orphan`: an answer without its request, a request without an answer, or what belongs to neither.
 * - `key`: a key that is not the one of the request stored with it.
 * - `leftover`: a file or a row that a process left when it was killed.
 * - `skipped`: something that could not be checked just now, or by this store.
 */
export type ProblemKind =
  | "corrupt"
  | "undecodable"
  | "dictionary"
  | "index"
  | "structure"
  | "unreadable"
  | "expired"
  | "stale"
  | "orphan"
  | "key"
  | "leftover"
  | "skipped";

/** Which kinds do no harm. */
export const NOTES: ReadonlySet<ProblemKind> = new Set(["expired", "stale", "orphan", "key", "leftover", "skipped"]);

/** One thing that was found. */
export interface Problem {
  /** What kind of thing. */
  readonly kind: ProblemKind;
  /** Whose it is; `null` where that cannot be told. */
  readonly model: string | null;
  /** The request's key in hexadecimal, where it is about one. */
  readonly key: string | null;
  /** Which of its answers. */
  readonly sample: number | null;
  /** In words, with what to do where that is not plain. */
  readonly what: string;
}

/** What was looked at of one model. */
export interface ModelCheck {
  /** Whose it is; the file's name where that cannot be told. */
  readonly model: string;
  /** Answers that were looked at, each sample counted as one. */
  readonly entries: number;
  /** Requests that were looked at. */
  readonly requests: number;
  /** Dictionaries that were looked at. */
  readonly dictionaries: number;
  /** How often each kind of problem was found. */
  readonly problems: Readonly<Partial<Record<ProblemKind, number>>>;
}

/** What verifying found. */
export interface VerifyReport {
  /** Whether nothing was found but notes ({@link ProblemKind}). */
  readonly ok: boolean;
  /** Which backend. */
  readonly store: string;
  /** Where it lives. */
  readonly location: string;
  /** What was looked at, by model. */
  readonly models: readonly ModelCheck[];
  /** The first that were found, errors and notes. */
  readonly problems: readonly Problem[];
  /** How many more there were. */
  readonly moreProblems: number;
}

/** How far long work has come. */
export interface Progress {
  /** How much is done. */
  readonly done: number;
  /** How much there is, where that is known. */
  readonly total?: number;
  /** What is counted: `rows`, `pages`. */
  readonly unit: string;
}

/** What to look at, and how closely. */
export interface VerifyOptions {
  /** Of this model only. */
  readonly model?: string;
  /** Whether answers are decompressed too. Default: false. */
  readonly deep?: boolean;
  /** How many problems the report lists; the rest is counted. Default: 100. */
  readonly mostProblems?: number;
  /** Says what is wrong with a request's key, if something is; `undefined` where it is right. */
  readonly checkKey?: (request: RequestRecord) => string | undefined;
  /** Hears how far it has come. */
  readonly onProgress?: (progress: Progress) => void;
  /** Ends it early, with the signal's reason. */
  readonly signal?: AbortSignal;
}

const MOST_PROBLEMS = 100;
/** Samples that one lookup asks for. */
const ALL_SAMPLES = 2 ** 31 - 1;

/** Gathers what was found of one store. */
export class Findings {
  readonly #store: Pick<Store, "name" | "location">;
  readonly #most: number;
  readonly #models = new Map<string, ModelFindings>();
  readonly #problems: Problem[] = [];
  #more = 0;
  #ok = true;

  constructor(store: Pick<Store, "name" | "location">, { mostProblems = MOST_PROBLEMS }: VerifyOptions) {
    this.#store = store;
    this.#most = mostProblems;
  }

  /** What is found of a model. */
  of(model: string): ModelFindings {
    let findings = this.#models.get(model);
    if (findings === undefined) this.#models.set(model, findings = new ModelFindings(model, this));
    return findings;
  }

  /** Something that is no model's. */
  add(problem: Problem): void {
    if (!NOTES.has(problem.kind)) this.#ok = false;
    if (this.#problems.length < this.#most) this.#problems.push(problem);
    else this.#more++;
  }

  /** Takes over what another store has found. */
  join({ models, problems, moreProblems, ok }: VerifyReport): void {
    for (const model of models) this.of(model.model).join(model);
    for (const problem of problems) this.add(problem);
    this.#more += moreProblems;
    this.#ok &&= ok;
  }

  /** All of it. */
  get report(): VerifyReport {
    const { name, location } = this.#store;
    return {
      ok: this.#ok,
      store: name,
      location,
      models: [...this.#models.values()].map((model) => model.check),
      problems: [...this.#problems],
      moreProblems: this.#more,
    };
  }
}

/** Gathers what was found of one model. */
export class ModelFindings {
  readonly model: string;
  entries = 0;
  requests = 0;
  dictionaries = 0;
  readonly #all: Findings;
  readonly #problems: Partial<Record<ProblemKind, number>> = {};

  constructor(model: string, all: Findings) {
    this.model = model;
    this.#all = all;
  }

  /** Something that was found. */
  add(kind: ProblemKind, what: string, key: Key | null = null, sample: number | null = null): void {
    this.#problems[kind] = (this.#problems[kind] ?? 0) + 1;
    this.#all.add({ kind, model: this.model, key: key && hexOf(key), sample, what });
  }

  /** Adds up what another store has of the model. */
  join({ entries, requests, dictionaries, problems }: ModelCheck): void {
    this.entries += entries;
    this.requests += requests;
    this.dictionaries += dictionaries;
    for (const [kind, count] of Object.entries(problems) as [ProblemKind, number][]) {
      this.#problems[kind] = (this.#problems[kind] ?? 0) + count;
    }
  }

  get check(): ModelCheck {
    const { model, entries, requests, dictionaries } = this;
    return { model, entries, requests, dictionaries, problems: { ...this.#problems } };
  }
}

/**
 * Verifies a store: by itself where it can, else by listing its requests and looking up their answers.
 *
 * @throws the signal's reason; CacheError when the store cannot be read at all.
 */
export async function verifyStore(store: Store, options: VerifyOptions): Promise<VerifyReport> {
  return await (store.verify?.(options) ?? verifyByLookup(store, options));
}

/** Verifies a store as whoever uses it sees it. Broken rows show only where a lookup comes by them. */
export async function verifyByLookup(
  store: Pick<Store, "name" | "location" | "list" | "lookup">,
  options: VerifyOptions,
): Promise<VerifyReport> {
  const { model, deep = false, checkKey, onProgress, signal } = options;
  const findings = new Findings(store, options);
  findings.add({
    kind: "skipped",
    model: null,
    key: null,
    sample: null,
    what: `${store.name} was asked for all it lists; what lies behind is for whoever keeps it to verify`,
  });
  let done = 0;
  for await (const { model: name, request } of store.list({ ...(model !== undefined && { model }) })) {
    signal?.throwIfAborted();
    const of = findings.of(name);
    of.requests++;
    const wrong = checkKey?.(request);
    if (wrong !== undefined) of.add("key", wrong, request.key);
    const [found] = await store.lookup(name, [{ key: request.key, samples: ALL_SAMPLES, peek: true }]);
    if (found!.corrupt) of.add("corrupt", "an answer is broken", request.key);
    if (found!.expired) of.add("expired", "the time of an answer has passed", request.key);
    if (found!.stale) of.add("stale", "an answer is of an older version", request.key);
    for (const entry of found!.entries) {
      of.entries++;
      try {
        if (deep) entry.read(() => {});
      } catch (error) {
        if (!(error instanceof CacheError)) throw error;
        of.add("undecodable", messageOf(error), request.key, entry.sample);
      }
    }
    onProgress?.({ done: ++done, unit: "requests" });
  }
  return findings.report;
}
