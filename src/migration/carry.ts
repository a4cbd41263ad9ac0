/**
 * Carries what a source finds into a store, a few requests at a time. What is there already is not stored again, so a
 * migration that was broken off is begun anew and goes on where it stopped, and a second one adds nothing.
 *
 * @module
 */

import { sampleShape } from "../cache/answer/samples.ts";
import { nextTurn } from "../cache/flow/turns.ts";
import { decodeText, isJsonObject } from "../cache/json.ts";
import { hexOf } from "../runtime/hex.ts";
import type { Milliseconds, Runtime } from "../runtime/runtime.ts";
import type { Found, NewEntry, Store, StoredEntry } from "../store/store.ts";
import { type Carried, left, type Source } from "./finding.ts";
import { Account, type MigrationReport } from "./report.ts";

/** How far a migration has come. */
export interface MigrationProgress {
  /** Answers looked at so far. */
  readonly done: number;
  /** How many there are, where the source knows. */
  readonly total?: number;
  /** What is counted. */
  readonly unit: "answers";
}

/** How to carry. */
export interface CarryOptions {
  readonly runtime: Pick<Runtime, "clock" | "sha256">;
  /** Writes nothing, but reports what would be. */
  readonly dryRun: boolean;
  /** Whether answers whose time has passed come along. */
  readonly expired: "leave" | "carry";
  readonly onProgress: ((progress: MigrationProgress) => void) | undefined;
  readonly signal: AbortSignal | undefined;
}

/** So many requests are looked up in the target at once, at most, */
const PAGE_REQUESTS = 64;
/** and so many bytes of answers wait for that. */
const PAGE_BYTES = 4 * 1024 * 1024;
/** Whatever else waits has its turn when reading has taken so long. */
const LONG: Milliseconds = 4;

/** What one migration has to know. */
interface Task extends CarryOptions {
  readonly target: Store;
  readonly account: Account;
  /**
   * Answers without a date that this migration has found, by request. Two records with the same words are two samples, so
   * what stands in the target for one of them does not stand for the other.
   */
  readonly claimed: Map<string, string[]>;
}

/**
 * Carries all that `source` finds to `target`.
 *
 * @throws the reason of `signal`; CacheError when the source cannot be read or the target cannot be written. What was
 * carried until then is there, and need not be carried again.
 */
export async function carry(source: Source, target: Store, options: CarryOptions): Promise<MigrationReport> {
  const { runtime: { clock }, dryRun, onProgress, signal } = options;
  const account = new Account();
  const task: Task = { ...options, target, account, claimed: new Map() };
  const total = await source.total?.();
  let done = 0;
  const tell = (answers: number): void => {
    done += answers;
    onProgress?.({ done, ...(total !== undefined && { total: Math.max(total, done) }), unit: "answers" });
  };
  let page: Carried[] = [];
  let bytes = 0;
  const flush = async (): Promise<void> => {
    const now = page;
    page = [];
    bytes = 0;
    await settle(now, task);
    tell(now.reduce((sum, { entries }) => sum + entries.length, 0));
    await nextTurn(clock);
  };
  signal?.throwIfAborted();
  let began = clock.monotonic();
  for await (const finding of source.findings()) {
    signal?.throwIfAborted();
    if (clock.monotonic() - began >= LONG) {
      await nextTurn(clock);
      began = clock.monotonic();
    }
    if (finding.type === "left") {
      account.leave(finding);
      tell(finding.answers);
      continue;
    }
    // Twice the same request in a page would be looked up before the first of them is stored.
    if (page.some(({ model, request }) => model === finding.model && isSame(request.key, finding.request.key))) {
      await flush();
    }
    page.push(finding);
    bytes += finding.entries.reduce((sum, { body }) => sum + body.byteLength, 0);
    if (page.length >= PAGE_REQUESTS || bytes >= PAGE_BYTES) await flush();
  }
  if (page.length > 0) await flush();
  const { format, location, notes } = source;
  return account.report({ format, from: location, to: target.location, dryRun, notes });
}

/** Stores of a page what the target has not. */
async function settle(page: readonly Carried[], task: Task): Promise<void> {
  const { runtime: { clock }, signal, target } = task;
  for (const [model, group] of Map.groupBy(page, ({ model }) => model)) {
    const wants = group.map(({ request }) => ({
      key: request.key,
      samples: Number.MAX_SAFE_INTEGER,
      // What was carried although its time had passed is there all the same.
      grace: Number.MAX_SAFE_INTEGER,
      peek: true as const,
    }));
    const found = await target.lookup(model, wants);
    for (const [index, carried] of group.entries()) {
      signal?.throwIfAborted();
      await settleOne(carried, found[index]!, task);
      await nextTurn(clock);
    }
  }
}

async function settleOne(carried: Carried, { entries: there }: Found, task: Task): Promise<void> {
  const { runtime: { clock }, dryRun, expired, account, target } = task;
  const { id, model, request, entries, tags } = carried;
  const now = clock.now();
  const isDue = ({ expires }: NewEntry): boolean => expires !== null && expires <= now;
  const wanted = expired === "carry" ? entries : entries.filter((entry) => !isDue(entry));
  const late = entries.length - wanted.length;
  if (late > 0) account.leave(left(id, "expired", "its time has passed", model, late));
  const missing = missingFrom(carried, wanted, there, task);
  const present = wanted.length - missing.length;
  if (missing.length > 0 && there.length > 0 && isFixed(request)) {
    account.count(model, 0, present);
    const detail = "the target has answers of another call with this seed";
    account.leave(left(id, "conflict", detail, model, missing.length));
    return;
  }
  if (missing.length > 0 && !dryRun) {
    await target.put(model, request, missing, "append", tags.length > 0 ? { tags } : {});
  }
  account.count(model, missing.length, present);
}

/** The wanted entries that are not among those that are there, each of which stands for one of them. */
function missingFrom(
  { model, request, isDated }: Carried,
  wanted: readonly NewEntry[],
  there: readonly StoredEntry[],
  { claimed, runtime: { sha256 } }: Task,
): NewEntry[] {
  const unclaimed = new Set(there);
  if (!isDated) {
    const place = `${hexOf(request.key)} ${model}`;
    const before = claimed.get(place) ?? [];
    claimed.set(place, [...before, ...wanted.map(({ body }) => hexOf(sha256(body)))]);
    for (const digest of before) {
      for (const other of unclaimed) if (digestOf(other, sha256) === digest && unclaimed.delete(other)) break;
    }
  }
  return wanted.filter((entry) => {
    for (const other of unclaimed) {
      if (isSameAnswer(entry, other, isDated)) return !unclaimed.delete(other);
    }
    return true;
  });
}

function digestOf(entry: StoredEntry, sha256: Runtime["sha256"]): string | undefined {
  try {
    return entry.read((bytes) => hexOf(sha256(bytes)));
  } catch {
    return undefined;
  }
}

function isSameAnswer(entry: NewEntry, other: StoredEntry, isDated: boolean): boolean {
  if (entry.mediaType !== other.mediaType || (isDated && entry.created !== other.created)) return false;
  try {
    return other.read((bytes) => isSame(bytes, entry.body));
  } catch {
    // What cannot be read is not there.
    return false;
  }
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  if (one.byteLength !== other.byteLength) return false;
  for (let at = 0; at < one.byteLength; at++) if (one[at] !== other[at]) return false;
  return true;
}

/** Whether samples of two calls must not be mixed; see `SampleShape.fixed`. */
function isFixed({ endpoint, body }: Carried["request"]): boolean {
  const asked: unknown = JSON.parse(decodeText(body));
  return isJsonObject(asked) && sampleShape(endpoint, asked).fixed;
}

/** The name of a request in a report. */
export function requestName({ key }: Carried["request"]): string {
  return hexOf(key);
}
