/**
 * A store in the words of the contract's tests, so that each test says only what it is about.
 *
 * @module
 */

import type { Found, Key, NewEntry, Placement, PutOptions, RequestRecord, Store } from "../../store/store.ts";
import type { StoreFacet, StoreUnderTest } from "./under_test.ts";
import { bodiesOf, keyOf, MODEL } from "./values.ts";

/** Where parts of the contract register their tests. */
export interface StoreSuite {
  /** What the store is said to have besides what every store has. */
  readonly facets: readonly StoreFacet[];
  /** Registers a group of tests. */
  describe(part: string, tests: () => void): void;
  /** Registers a test, which gets a new, empty store. */
  check(behaviour: string, run: (shelf: Shelf) => Promise<void> | void): void;
}

const encoder = new TextEncoder();

/** A store, in the words of these tests. */
export class Shelf {
  readonly store: Store;
  readonly clock: StoreUnderTest["clock"];
  readonly underTest: StoreUnderTest;
  readonly #opened: Store[] = [];

  constructor(underTest: StoreUnderTest) {
    this.underTest = underTest;
    this.store = underTest.store;
    this.clock = underTest.clock;
  }

  /** What the store holds, opened by somebody else at the same time. */
  another(): Promise<Shelf> {
    return this.#open(this.underTest.another!);
  }

  /** What the store holds, opened after it was closed. */
  async reopened(): Promise<Shelf> {
    await this.store.close();
    return await this.#open(this.underTest.reopen!);
  }

  async #open(open: () => Promise<Store>): Promise<Shelf> {
    const store = await open();
    this.#opened.push(store);
    return new Shelf({ ...this.underTest, store });
  }

  /** Closes all that was opened and removes what is left of it. */
  async putAway(): Promise<void> {
    try {
      for (const store of [...this.#opened, this.store]) await store.close();
    } finally {
      await this.underTest.cleanup();
    }
  }

  /** Whether what it holds turned out to belong to it alone: then all claims are granted. */
  async ownsAlone(): Promise<boolean> {
    const probe = keyOf(0xffffffff);
    const replies = ["one", "two"].map((holder) => this.store.claims!.claim("probe", probe, holder, 1000));
    return (await Promise.all(replies)).every(({ granted }) => granted);
  }

  entry(body: string, lifetime?: number): NewEntry {
    return {
      mediaType: "application/json",
      outcome: "stop",
      modelAsked: MODEL,
      modelAnswered: null,
      fingerprint: null,
      promptTokens: 1,
      completionTokens: 1,
      costMicrodollars: null,
      latency: null,
      created: this.clock.now(),
      expires: lifetime === undefined ? null : this.clock.now() + lifetime,
      body: encoder.encode(body),
    };
  }

  request(key: Key): RequestRecord {
    return {
      key,
      namespace: "",
      provider: "openai",
      endpoint: "/v1/chat/completions",
      identity: null,
      body: encoder.encode('{"messages":[]}'),
      sketch: new Uint8Array(16),
    };
  }

  async put(
    key: Key,
    entries: NewEntry[],
    placement: Placement = "append",
    model: string = MODEL,
    request: Partial<RequestRecord> = {},
    options?: PutOptions,
  ): Promise<void> {
    await this.store.put(model, { ...this.request(key), ...request }, entries, placement, options);
  }

  /** Which of some keys have an answer. */
  async kept(...numbers: number[]): Promise<number[]> {
    const found = await this.lookup(...numbers.map((number) => [keyOf(number), 1] as const));
    return numbers.filter((_, index) => found[index]!.entries.length > 0);
  }

  async lookup(...wants: (readonly [key: Key, samples: number])[]): Promise<readonly Found[]> {
    return await this.store.lookup(MODEL, wants.map(([key, samples]) => ({ key, samples })));
  }

  async look(key: Key, samples = 1, model: string = MODEL): Promise<Omit<Found, "entries"> & { bodies: string[] }> {
    const [found] = await this.store.lookup(model, [{ key, samples }]);
    const { stale, expired, corrupt } = found!;
    return { bodies: bodiesOf(found!), stale, expired, corrupt };
  }
}
