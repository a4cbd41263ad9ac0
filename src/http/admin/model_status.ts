/**
 * Where a model stands: what there is of it on the disk, what of it is in memory, and what was ordered for it.
 *
 * @module
 */

import type { ModelKind } from "../../model/backend.ts";
import type { LoadedModel } from "../../warm/backend_cache.ts";
import type { Listing } from "../../warm/catalogue.ts";
import { formatModelName, type ModelSpec } from "../../warm/spec.ts";
import type { ServerParts } from "../parts.ts";
import type { FailedOrder, Orders, PendingOrder } from "./orders.ts";

/**
 * How near a model is to an answer: `warm`; `loading`; `waiting` for room or for its files to be read; `draining`, on its
 * way out; `cooldown` after a load that failed; `cold`.
 */
export type ModelState = "cold" | "waiting" | "loading" | "warm" | "draining" | "cooldown";

/** A model, and where it stands. */
export interface ModelStatus {
  /** What requests call it. */
  readonly id: string;
  /** What runs it, or that it is an adapter. */
  readonly kind: ModelKind | "adapter";
  /** An adapter's base. */
  readonly parent: string | null;
  /** Which exports of a base there are. */
  readonly dtypes: readonly string[];
  /** When the newest of its files was last written, in seconds since 1970; `null` for what is not on this disk. */
  readonly created: number | null;
  /** Why it cannot be used; `null` when it can. */
  readonly problem: string | null;
  /** Of an adapter, that of its base: it is only a view of it, and there in an instant. */
  readonly state: ModelState;
  /** In how many seconds it should be warm; `null` where that is not known, or nothing is loading. */
  readonly eta_seconds: number | null;
  /** Whether an adapter is in memory beside its base; `null` for a base. */
  readonly adapter_loaded: boolean | null;
  /** What of it is in memory: more than one entry where several exports, or an old and a new one, are. */
  readonly loaded: readonly LoadedModel[];
  /** What was ordered and is under way. */
  readonly pending: readonly PendingOrder[];
  /** The last order for it, if it came to nothing. */
  readonly last_failure: FailedOrder | null;
}

/** What a status is read from. */
export type StatusParts = Pick<ServerParts, "backends" | "catalogue" | "loads"> & { readonly orders: Orders };

/** Every model that is on the disk or in memory. */
export async function allStatuses(parts: StatusParts): Promise<ModelStatus[]> {
  const listings = await parts.catalogue.list();
  const known = new Set(listings.map(({ id }) => id));
  const loaded = parts.backends.loaded();
  const elsewhere = Map.groupBy(loaded.filter(({ base }) => !known.has(base)), ({ base }) => base);
  return [
    ...listings.map((listing) => statusOf(parts, listing, "auto", loaded)),
    ...[...elsewhere].map(([base, [first]]) => statusOf(parts, { id: base, kind: first!.kind }, "auto", loaded)),
  ];
}

/** One of them; `undefined` when there is none of this name, nor of this dtype. */
export async function statusNamed(parts: StatusParts, spec: ModelSpec): Promise<ModelStatus | undefined> {
  const loaded = parts.backends.loaded();
  const id = formatModelName({ ...spec, dtype: "auto" });
  const listings = await parts.catalogue.list();
  const inMemory = spec.adapter === undefined ? loaded.find(({ base }) => base === spec.base) : undefined;
  const listing = listings.find((each) => each.id === id) ?? (inMemory && { id, kind: inMemory.kind });
  if (listing === undefined) return undefined;
  const { dtypes } = listings.find((each) => each.id === spec.base) ?? {};
  const hasDtype = spec.dtype === "auto" || dtypes === undefined || dtypes.includes(spec.dtype);
  return hasDtype ? statusOf(parts, listing, spec.dtype, loaded) : undefined;
}

/** The status of what is listed, or is in memory and not, or no longer, on the disk. */
function statusOf(
  { loads, orders }: StatusParts,
  { id, kind, parent, dtypes = [], created, problem }: Partial<Listing> & Pick<Listing, "id" | "kind">,
  dtype: ModelSpec["dtype"],
  all: readonly LoadedModel[],
): ModelStatus {
  const base = parent ?? id;
  const adapter = kind === "adapter" ? id.slice(base.length + 1) : undefined;
  const loaded = all.filter((each) => each.base === base && (dtype === "auto" || each.dtype === dtype));
  const name = dtype === "auto" ? id : `${base}:${dtype}${adapter === undefined ? "" : `+${adapter}`}`;
  const pending = orders.pending(name);
  const nearest = nearestState(loaded, pending);
  const loading = loaded.find(({ state }) => state === "loading");
  return {
    id: name,
    kind,
    parent: parent ?? null,
    dtypes,
    created: created ?? null,
    problem: problem ?? null,
    state: nearest,
    eta_seconds: loading === undefined ? null : loads.of(loading)?.eta_seconds ?? null,
    adapter_loaded: adapter === undefined ? null : loaded.some(({ adapters }) => adapters.includes(adapter)),
    loaded,
    pending,
    last_failure: orders.failed(name) ?? null,
  };
}

const NEAREST_FIRST = ["warm", "loading", "draining", "cooldown"] as const;

function nearestState(loaded: readonly LoadedModel[], pending: readonly PendingOrder[]): ModelState {
  const isAwaited = pending.some(({ action }) => action !== "unload");
  const state = NEAREST_FIRST.find((each) => loaded.some((model) => model.state === each));
  if (state === "warm" || state === "loading") return state;
  return isAwaited ? "waiting" : state ?? "cold";
}
