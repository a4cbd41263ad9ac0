/** What the tests of tiers share: short words for entries and requests, and a store that fails when it is told to. */

import type {
  Found,
  Key,
  ListedRequest,
  NewEntry,
  Placement,
  PutOptions,
  Removed,
  RequestRecord,
  Selection,
  Store,
  StoreFault,
  StoreSize,
  Want,
} from "../../../src/store/store.ts";

export const MODEL = "m";

export function keyOf(number: number): Key {
  const key = new Uint8Array(32).fill(7);
  new DataView(key.buffer).setUint32(0, number);
  return key;
}

export function requestOf(number: number, more: Partial<RequestRecord> = {}): RequestRecord {
  const body = new TextEncoder().encode(`{"number":${number}}`);
  const sketch = new Uint8Array(16).fill(number);
  return { key: keyOf(number), namespace: "", provider: "p", endpoint: "/e", identity: null, body, sketch, ...more };
}

export function entry(body: string, more: Partial<NewEntry> = {}): NewEntry {
  return {
    mediaType: "application/json",
    outcome: "stop",
    modelAsked: MODEL,
    modelAnswered: null,
    fingerprint: null,
    promptTokens: null,
    completionTokens: null,
    costMicrodollars: null,
    latency: null,
    created: 1,
    expires: null,
    body: new TextEncoder().encode(body),
    ...more,
  };
}

export function bodiesOf(found: Found | undefined): string[] {
  return (found?.entries ?? []).map((entry) => new TextDecoder().decode(entry.bytes()));
}

export async function put(
  store: Store,
  number: number,
  bodies: readonly string[],
  placement: Placement = "append",
  options?: PutOptions,
): Promise<void> {
  await store.put(MODEL, requestOf(number), bodies.map((body) => entry(body)), placement, options);
}

/** As the cache asks: with the request's record. */
export function want(number: number, samples = 1): Want {
  return { key: keyOf(number), samples, record: () => requestOf(number) };
}

export async function look(store: Store, number: number, samples = 1): Promise<string[]> {
  return bodiesOf((await store.lookup(MODEL, [want(number, samples)]))[0]);
}

/** Lets everything run that waits for nothing but its turn. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setTimeout(resolve, 0));
}

/** A store that answers another one's answers when it is well, and says what it was asked. */
export class UnsteadyStore implements Store {
  readonly name = "unsteady";
  readonly location = "here";
  /** What it was asked, in order. */
  readonly asked: string[] = [];
  /** Called before it answers anything; what it throws is what the store does. */
  mood: (asked: string) => Promise<void> | void = () => {};
  listener: (fault: StoreFault) => void = () => {};
  stamp?: (model: string, key: Key) => string | number | undefined;
  readonly #store: Store;
  #version = 0;

  constructor(store: Store, { stamps = false }: { readonly stamps?: boolean } = {}) {
    this.#store = store;
    if (stamps) this.stamp = () => this.#version;
    if (store.failures) this.failures = store.failures;
    if (store.ledger) this.ledger = store.ledger;
    if (store.claims) this.claims = store.claims;
  }

  readonly failures?: NonNullable<Store["failures"]>;
  readonly ledger?: NonNullable<Store["ledger"]>;
  readonly claims?: NonNullable<Store["claims"]>;

  async lookup(model: string, wants: readonly Want[]): Promise<readonly Found[]> {
    await this.#do("lookup");
    return await this.#store.lookup(model, wants);
  }

  async put(
    model: string,
    request: RequestRecord,
    entries: readonly NewEntry[],
    placement: Placement,
    options?: PutOptions,
  ): Promise<void> {
    await this.#do("put");
    this.#version++;
    await this.#store.put(model, request, entries, placement, options);
  }

  async remove(selection: Selection): Promise<Removed> {
    await this.#do("remove");
    this.#version++;
    return await this.#store.remove(selection);
  }

  async nearest(sketch: Uint8Array, limit: number, model?: string): Promise<readonly RequestRecord[]> {
    await this.#do("nearest");
    return await this.#store.nearest(sketch, limit, model);
  }

  async *list(selection?: Pick<Selection, "model" | "namespace">): AsyncIterable<ListedRequest> {
    await this.#do("list");
    yield* this.#store.list(selection);
  }

  async size(): Promise<StoreSize> {
    await this.#do("size");
    return await this.#store.size();
  }

  onFault(listener: (fault: StoreFault) => void): void {
    this.listener = listener;
  }

  async close(): Promise<void> {
    await this.#store.close();
  }

  async #do(what: string): Promise<void> {
    this.asked.push(what);
    await this.mood(what);
  }
}
