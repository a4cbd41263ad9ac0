/** A provider, a store that can be told to fail, and a cache on both. */

import { createHash } from "node:crypto";
import type { CacheEvent } from "../../src/cache/ledger/journal.ts";
import { ResponseCache, type ResponseCacheOptions } from "../../src/cache/response_cache.ts";
import { CacheError } from "../../src/store/error.ts";
import { openMemoryStore } from "../../src/store/memory/memory_store.ts";
import type {
  Failures,
  Found,
  ListedRequest,
  MaybePromise,
  NewEntry,
  Placement,
  PutOptions,
  Removed,
  RequestRecord,
  Selection,
  Store,
  StoreSize,
  Want,
} from "../../src/store/store.ts";
import { ManualClock } from "../store/manual_clock.ts";

export interface ChatRequest {
  readonly model: string;
  readonly messages: readonly { role: string; content: string }[];
  readonly n?: number;
  readonly seed?: number;
  readonly temperature?: number;
}

export interface ChatAnswer {
  readonly id: string;
  readonly model: string;
  readonly system_fingerprint: string;
  readonly choices: { index: number; message: { role: string; content: string }; finish_reason: string }[];
  readonly usage: { prompt_tokens: number; completion_tokens: number; total_tokens: number };
}

/** A request for chat about `topic`. */
export function ask(topic: string, rest: Partial<ChatRequest> = {}): ChatRequest {
  return { model: "gpt-4o-mini", messages: [{ role: "user", content: topic }], ...rest };
}

/** What was said, choice by choice. */
export function saidBy(answer: unknown): string[] {
  return (answer as ChatAnswer).choices.map(({ message }) => message.content);
}

/** A provider whose every choice is another text: `text 1`, `text 2`, … */
export class Provider {
  /** Bodies it was called with. */
  readonly calls: ChatRequest[] = [];
  #said = 0;

  /** `n` choices, 10 tokens of prompt, 5 of completion for each. */
  readonly answer = (body: ChatRequest): Promise<ChatAnswer> => {
    this.calls.push(body);
    return Promise.resolve(this.choices(body.n ?? 1));
  };

  choices(count: number): ChatAnswer {
    return {
      id: `chatcmpl-${this.calls.length}`,
      model: "gpt-4o-mini-2024-07-18",
      system_fingerprint: "fp_1",
      choices: Array.from({ length: count }, (_, index) => ({
        index,
        message: { role: "assistant", content: `text ${++this.#said}` },
        finish_reason: "stop",
      })),
      usage: { prompt_tokens: 10, completion_tokens: 5 * count, total_tokens: 10 + 5 * count },
    };
  }
}

/** A store in memory whose operations can be made to fail or to wait, and are counted. */
export class TestStore implements Store {
  readonly name = "memory";
  readonly location = "memory";
  readonly #inner: Store;
  lookups = 0;
  puts: { entries: number; placement: Placement }[] = [];
  beforeLookup: () => void | Promise<void> = () => {};
  beforePut: () => void | Promise<void> = () => {};
  beforeSize: () => void = () => {};

  constructor(inner: Store) {
    this.#inner = inner;
  }

  async lookup(model: string, wants: readonly Want[]): Promise<readonly Found[]> {
    this.lookups++;
    await this.beforeLookup();
    return await this.#inner.lookup(model, wants);
  }

  async put(
    model: string,
    request: RequestRecord,
    entries: readonly NewEntry[],
    placement: Placement,
    options?: PutOptions,
  ): Promise<void> {
    await this.beforePut();
    this.puts.push({ entries: entries.length, placement });
    await this.#inner.put(model, request, entries, placement, options);
  }

  remove(selection: Selection): MaybePromise<Removed> {
    return this.#inner.remove(selection);
  }

  list(selection?: Selection): AsyncIterable<ListedRequest> {
    return this.#inner.list(selection);
  }

  nearest(sketch: Uint8Array, limit: number, model?: string): MaybePromise<readonly RequestRecord[]> {
    return this.#inner.nearest(sketch, limit, model);
  }

  get failures(): Failures {
    return this.#inner.failures!;
  }

  size(): MaybePromise<StoreSize> {
    this.beforeSize();
    return this.#inner.size();
  }

  close(): MaybePromise<void> {
    return this.#inner.close();
  }
}

/** Makes rows of a store that its checksum vouches for, but that do not decompress, until what it returns is called. */
export function tearRows(store: Pick<Store, "lookup">): () => void {
  const lookup = store.lookup.bind(store);
  const broken = (): never => {
    throw new CacheError("corrupt", "the frame is torn");
  };
  store.lookup = async (model, wants) =>
    (await lookup(model, wants)).map((found) => ({
      ...found,
      entries: found.entries.map((entry) => ({ ...entry, bytes: broken, read: broken })),
    }));
  return () => void (store.lookup = lookup);
}

export interface CacheUnderTest {
  readonly cache: ResponseCache;
  readonly store: TestStore;
  readonly clock: ManualClock;
  readonly provider: Provider;
  readonly events: CacheEvent[];
}

/** A cache on an empty store. */
export function openTestCache(options: Partial<ResponseCacheOptions> = {}): CacheUnderTest {
  const clock = new ManualClock();
  const store = new TestStore(openMemoryStore({ clock, maxBytes: 64 * 1024 * 1024 }));
  const events: CacheEvent[] = [];
  const report = (event: CacheEvent): void => void events.push(event);
  const cache = new ResponseCache({ store, clock, sha256, report, ...options });
  return { cache, store, clock, provider: new Provider(), events };
}

export function sha256(bytes: Uint8Array): Uint8Array {
  return createHash("sha256").update(bytes).digest();
}
