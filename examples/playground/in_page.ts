/// <reference lib="dom" />
/** Answers in this page: from the cache in the browser's own file system, else from a model that runs in a Worker. */

import { sha256 } from "@noble/hashes/sha2.js";
import { type CacheStatus, exportDatabase, openCache, type ResponseCache } from "@warmcache/warmcache/browser";
import { type LocalClient, openBackends, openClient, type PageBackends } from "@warmcache/warmcache/browser/warm";
import { databaseName } from "../../src/store/sqlite/names.ts";
import type { Answer, Fate } from "./answerer.ts";
import { type Answered, groupAnswered } from "./asked.ts";
import type { Asked, PageModels, Savings } from "./page_models.ts";
import type { CompletionChunk } from "./pieces.ts";
import { bodyOf, type Question, questionIn, type Side, SIDES } from "./question.ts";
import { type Residence, ResidenceWatch } from "./residence.ts";
import type { Settings } from "./settings.ts";

/** What is looked at for the history, and no more. */
const MOST_REMEMBERED = 500;

/** Opens the cache, and says where the models are. Nothing of these is fetched but what they consist of. */
export async function openPageModels({ names }: Settings): Promise<PageModels> {
  let inMemory: string | undefined;
  const cache = await openCache({
    worker: () => new Worker(new URL("./store_worker.js", import.meta.url), { type: "module" }),
    report: (event) => {
      if (event.type === "kept_in_memory") inMemory = event.why;
    },
  });
  const models = new InPage(cache, names, () => inMemory);
  await models.warmUp();
  return models;
}

class InPage implements PageModels {
  readonly #cache: ResponseCache;
  readonly #names: Readonly<Record<Side, string>>;
  readonly #whyInMemory: () => string | undefined;
  readonly #watch: ResidenceWatch;
  #backends!: PageBackends;
  #client!: LocalClient;

  constructor(cache: ResponseCache, names: Readonly<Record<Side, string>>, whyInMemory: () => string | undefined) {
    this.#cache = cache;
    this.#names = names;
    this.#whyInMemory = whyInMemory;
    this.#watch = new ResidenceWatch();
  }

  /** Opens the models. A browser without them shows so, and has its cache all the same. */
  async warmUp(): Promise<void> {
    const { base } = this.#names;
    this.#backends = await openBackends({
      models: { [base]: `models/${base}/` },
      onnxruntime: "./",
      worker: () => new Worker(new URL("./model_worker.js", import.meta.url), { type: "module" }),
      onProgress: (progress) => this.#watch.onProgress(progress),
      onEvent: (event) => this.#watch.onEvent(event),
      onWarning: (message) => this.#watch.onWarning(message),
    });
    this.#client = openClient(this.#backends, this.#cache);
    try {
      this.#watch.begin(await this.#backends.identify(this.#names.adapter));
    } catch (error) {
      this.#watch.fail(error);
    }
  }

  onResidence(listener: (residence: Residence) => void): void {
    this.#watch.listen(listener);
  }

  ask(side: Side, question: Question, signal: AbortSignal): Promise<Answer> {
    const status: CacheStatus = {};
    const body = { ...bodyOf(question), model: this.#names[side] };
    const chunks = this.#client.streamCompletion(body, { status, signal }) as AsyncIterable<CompletionChunk>;
    const fate = (): Fate => {
      this.#watch.onUse(this.#backends.loaded());
      return fateOf(status);
    };
    return Promise.resolve({ chunks, fate });
  }

  async history(): Promise<Asked[]> {
    const identities = await Promise.all(SIDES.map((side) => this.#backends.identify(this.#names[side])));
    const isOurs = new Set<string | null>(identities.map(({ identity }) => identity));
    const answered: Answered[] = [];
    for await (const request of this.#cache.list()) {
      const question = questionIn(request.body);
      if (question === undefined || !isOurs.has(request.identity)) continue;
      const entry = await this.#cache.stored(request);
      if (entry !== undefined) answered.push({ question, created: entry.created });
      if (answered.length === MOST_REMEMBERED) break;
    }
    return groupAnswered(answered);
  }

  async savings(): Promise<Savings> {
    const { allTime, store, ...here } = await this.#cache.stats();
    const { hits, lookups, saved } = allTime ?? here;
    const why = this.#whyInMemory();
    return {
      isInFiles: why === undefined,
      hits,
      lookups,
      tokens: saved.completionTokens,
      waiting: saved.latency,
      entries: store.entries,
      storedBytes: store.storedBytes,
      ratio: store.ratio,
      place: why === undefined
        ? `Kept in this browser's private file system (${store.location}), in the SQLite files that servers have.`
        : `Kept in memory, for as long as this page is open: ${why}`,
    };
  }

  async database(side: Side): Promise<File> {
    const model = this.#names[side];
    return new File([await exportDatabase(this.#cache, model)], databaseName(model, sha256));
  }

  async forget(): Promise<void> {
    await this.#cache.clear();
  }

  async coolDown(): Promise<void> {
    await this.#backends.unload(this.#names.base);
  }
}

function fateOf({ outcome, created, latency, shared, stored, why }: CacheStatus): Fate {
  if (outcome === "hit") {
    return {
      outcome,
      ...created !== undefined && { created },
      ...typeof latency === "number" && { saved: latency },
    };
  }
  if (shared) return { outcome: "shared" };
  return { outcome: "generated", ...!stored && { unkept: why ?? "the store could not write it" } };
}
