/**
 * A store of ours as a source: every request, every sample in its order, with all that is known of it, byte for byte.
 *
 * @module
 */

import { messageOf } from "../runtime/message.ts";
import type { Clock } from "../runtime/runtime.ts";
import { nextTurn } from "../cache/flow/turns.ts";
import type { Found, ListedRequest, NewEntry, Store, StoredEntry } from "../store/store.ts";
import { requestName } from "./carry.ts";
import { type Finding, type Left, left, type Source } from "./finding.ts";

/** So many requests are looked up at once: their answers are in memory together, though still compressed. */
const PAGE = 32;

const NOTES = [
  "Statistics of past days and the memory of failed calls stay where they are: added up twice they would be wrong.",
];

/** Reads a store, page by page. */
export class StoreSource implements Source {
  readonly format = "store";
  readonly notes: readonly string[];
  readonly #store: Store;
  readonly #clock: Clock;

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
    this.notes = NOTES;
  }

  get location(): string {
    return this.#store.location;
  }

  async total(): Promise<number | undefined> {
    return (await this.#store.size()).entries;
  }

  async *findings(): AsyncIterable<Finding> {
    let page: ListedRequest[] = [];
    for await (const listed of this.#store.list()) {
      page.push(listed);
      if (page.length < PAGE) continue;
      yield* this.#read(page);
      page = [];
    }
    yield* this.#read(page);
  }

  async *#read(page: readonly ListedRequest[]): AsyncIterable<Finding> {
    for (const [model, group] of Map.groupBy(page, ({ model }) => model)) {
      const wants = group.map(({ request }) => ({
        key: request.key,
        samples: Number.MAX_SAFE_INTEGER,
        grace: Number.MAX_SAFE_INTEGER,
        peek: true as const,
      }));
      const found = await this.#store.lookup(model, wants);
      for (const [index, listed] of group.entries()) {
        yield* findingsOf(listed, found[index]!);
        await nextTurn(this.#clock);
      }
    }
  }
}

function* findingsOf({ model, request, ...listed }: ListedRequest, found: Found): Iterable<Finding> {
  const id = requestName(request);
  if (found.corrupt) yield left(id, "broken", "a row's checksum is wrong", model);
  if (found.stale) yield left(id, "older_schema", "a row has an older schema version", model);
  const entries: NewEntry[] = [];
  const broken: Left[] = [];
  // Those whose time has passed come last; they were put in the order of their making like all others.
  for (const entry of found.entries) {
    try {
      entries.push(fieldsOf(entry));
    } catch (error) {
      broken.push(left(id, "broken", `an answer does not decompress: ${messageOf(error)}`, model));
    }
  }
  yield* broken;
  if (entries.length > 0) yield { type: "carry", id, model, request, entries, isDated: true, tags: tagsOf(listed) };
}

/** All that is known of an entry, and its bytes. */
function fieldsOf(entry: StoredEntry): NewEntry {
  const { mediaType, outcome, modelAsked, modelAnswered, fingerprint } = entry;
  const { promptTokens, completionTokens, costMicrodollars, latency, created, expires } = entry;
  return {
    mediaType,
    outcome,
    modelAsked,
    modelAnswered,
    fingerprint,
    promptTokens,
    completionTokens,
    costMicrodollars,
    latency,
    created,
    expires,
    body: entry.bytes(),
  };
}

/** The tags of a request, from a store that tells them. */
function tagsOf({ tags = [] }: { readonly tags?: readonly string[] }): readonly string[] {
  return tags;
}
