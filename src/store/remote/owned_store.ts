/**
 * A store as one owner sees it, where several share one: what is his lies under models of his own, whose names nobody
 * else can say, so that no request, no key and no namespace that he makes up leads to another's.
 *
 * @module
 */

import { CacheError } from "../error.ts";
import { NearestSketches } from "../nearest.ts";
import type { DailyLedger, ListedRequest, Removed, RequestRecord, Selection, Store } from "../store.ts";

/** What the names of owned models begin with; an owner's id, in which there is no slash, and a slash follow. */
const OWNED = "key:";
const NO_MODEL = "_none";
/** Failures of more models than these are left where a client removes everything. They have an end of their own. */
const MOST_FAILED = 10_000;

/**
 * The store as an owner sees it; as all see it who share it, where there is none. Its size is the whole store's.
 *
 * @param owner letters, digits, `.`, `_` and `-`.
 * @param failed models of which failures were recorded, whosever they are: kept here, since no list has those that never
 * had an answer.
 */
export function storeOf(store: Store, owner: string | undefined, failed: Set<string>): Store {
  return owner === undefined ? sharedStore(store) : ownedStore(store, `${OWNED}${owner}/`, failed);
}

/** A store that is everybody's. Only the names of what is somebody's are refused, so that nobody can plant anything. */
function sharedStore(store: Store): Store {
  return renamed(store, (model) => {
    if (!model.startsWith(OWNED)) return model;
    throw new CacheError(
      "unavailable",
      `Cannot use a model whose name begins with ${OWNED}: it is an owner's: ${model}`,
    );
  });
}

function ownedStore(whole: Store, prefix: string, failed: Set<string>): Store {
  const inward = (model: string): string => prefix + model;
  const outward = (model: string): string | undefined => {
    return model.startsWith(prefix) ? model.slice(prefix.length) || NO_MODEL : undefined;
  };
  const store = renamed(whole, inward);
  const models = async (): Promise<ReadonlySet<string>> => {
    const names = new Set([...failed, ...(await whole.ledger?.read() ?? []).map(({ model }) => model)]);
    for await (const { model } of whole.list()) names.add(model);
    return new Set([...names].filter((name) => outward(name) !== undefined));
  };
  return {
    ...store,
    async remove(selection: Selection): Promise<Removed> {
      if (selection.model !== undefined) return await store.remove(selection);
      const removed = { entries: 0, storedBytes: 0 };
      for (const model of await models()) {
        const { entries, storedBytes } = await whole.remove({ ...selection, model });
        removed.entries += entries;
        removed.storedBytes += storedBytes;
      }
      return removed;
    },
    async nearest(sketch: Uint8Array, limit: number, model?: string): Promise<readonly RequestRecord[]> {
      if (model !== undefined) return await store.nearest(sketch, limit, model);
      const near = new NearestSketches(sketch, limit);
      const requests: RequestRecord[] = [];
      for (const name of await models()) {
        for (const request of await whole.nearest(sketch, limit, name)) {
          near.offer(requests.push(request) - 1, request.sketch);
        }
      }
      return near.best().map(({ id }) => requests[id]!);
    },
    async *list(selection: Pick<Selection, "model" | "namespace"> = {}): AsyncGenerator<ListedRequest> {
      for await (const { model, request } of store.list(selection)) {
        const name = outward(model);
        if (name !== undefined) yield { model: name, request };
      }
    },
    ...store.failures !== undefined && {
      failures: {
        ...store.failures,
        record: async (model, ...rest) => {
          if (failed.size < MOST_FAILED) failed.add(inward(model));
          await store.failures!.record(model, ...rest);
        },
      },
    },
    ...whole.ledger !== undefined && { ledger: ownedLedger(whole.ledger, inward, outward) },
  };
}

function ownedLedger(
  ledger: DailyLedger,
  inward: (model: string) => string,
  outward: (model: string) => string | undefined,
): DailyLedger {
  return {
    add: (daily) => ledger.add({ ...daily, model: inward(daily.model) }),
    read: async () =>
      (await ledger.read()).flatMap((daily) => {
        const model = outward(daily.model);
        return model === undefined ? [] : [{ ...daily, model }];
      }),
  };
}

/** A store in which each model has another name. Whatever is asked of all models is asked of all of them. */
function renamed(store: Store, inward: (model: string) => string): Store {
  const { claims, failures } = store;
  const within = <T extends Pick<Selection, "model">>(selection: T): T =>
    selection.model === undefined ? selection : { ...selection, model: inward(selection.model) };
  return {
    name: store.name,
    location: store.location,
    lookup: (model, wants) => store.lookup(inward(model), wants),
    put: (model, ...rest) => store.put(inward(model), ...rest),
    remove: (selection) => store.remove(within(selection)),
    nearest: (sketch, limit, model) => store.nearest(sketch, limit, model === undefined ? undefined : inward(model)),
    list: (selection = {}) => store.list(within(selection)),
    size: () => store.size(),
    close: () => {},
    ...claims !== undefined && {
      claims: {
        claim: (model, ...rest) => claims.claim(inward(model), ...rest),
        release: (model, ...rest) => claims.release(inward(model), ...rest),
      },
    },
    ...failures !== undefined && {
      failures: {
        record: (model, ...rest) => failures.record(inward(model), ...rest),
        last: (model, ...rest) => failures.last(inward(model), ...rest),
      },
    },
    ...store.ledger !== undefined && {
      ledger: {
        add: (daily) => store.ledger!.add({ ...daily, model: inward(daily.model) }),
        read: () => store.ledger!.read(),
      },
    },
  };
}
