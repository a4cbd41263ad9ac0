/**
 * Removes what somebody selected, in slices, so that others are served meanwhile.
 *
 * @module
 */

import { refuseUnknownOptions } from "../../runtime/options.ts";
import type { SqlRow } from "../../sqlite/driver.ts";
import type { Key, Removed, Selection } from "../store.ts";
import { type Condition, conditions } from "./conditions.ts";
import { PLACE_COLUMNS, type SqlRemover } from "./entry_removal.ts";
import type { SqlSession } from "./session.ts";

const SELECTION: readonly string[] = ["model", "keys", "namespace", "tag", "outcome", "createdBefore"];

/** Rows that are looked at, or keys, before others have their turn. */
const LOOKED_AT = 2048;
const KEYS_AT_ONCE = 64;

const OF_REQUEST = "(SELECT 1 FROM warmcache_request AS request WHERE request.key = entry.key AND " +
  "request.model = entry.model AND request.namespace = ?)";
const OF_TAG = "(SELECT 1 FROM warmcache_tag AS tag WHERE tag.key = entry.key AND tag.model = entry.model AND " +
  "tag.tag = ?)";
const KEYS_OF_TAG = "SELECT DISTINCT key FROM warmcache_tag WHERE tag = ?";
const LAST = "SELECT max(rowid) FROM warmcache_entry WHERE rowid < ?";

/**
 * Removes what `selection` says.
 *
 * @throws TypeError, RangeError when the selection is wrong: what was meant to be little must not turn out to be all.
 * @throws CacheError
 */
export async function removeSelected(
  session: SqlSession,
  remover: SqlRemover,
  selection: Selection,
): Promise<Removed> {
  refuseUnknownOptions("remove entries", selection, SELECTION);
  const { model, namespace, tag, outcome, createdBefore } = selection;
  if (createdBefore !== undefined && !(typeof createdBefore === "number" && !Number.isNaN(createdBefore))) {
    throw new RangeError(`Cannot remove entries: createdBefore must be a time in milliseconds: ${createdBefore}`);
  }
  const fits: readonly Condition[] = [
    ["model = ?", model],
    ["outcome = ?", outcome],
    ["created < ?", createdBefore],
    [`EXISTS ${OF_REQUEST}`, namespace],
    [`EXISTS ${OF_TAG}`, tag],
  ];
  const find = (place: readonly Condition[]): SqlRow[] => {
    const { where, values } = conditions([...place, ...fits]);
    // From the last to the first: samples that are still there keep their places, and what is put meanwhile is not seen.
    return session.statement(`SELECT ${PLACE_COLUMNS} FROM warmcache_entry AS entry ${where} ORDER BY rowid DESC`)
      .all(...values);
  };
  const sum = { entries: 0, storedBytes: 0 };
  const remove = (places: readonly SqlRow[]): void => {
    const { entries, storedBytes } = remover.remove(places);
    sum.entries += entries;
    sum.storedBytes += storedBytes;
  };
  const isThere = session.read(false, () => true);
  if (!isThere) return sum;

  const forgets = [namespace, tag, outcome, createdBefore].every((value) => value === undefined);
  const keys = selection.keys?.map((key) => key.slice()) ?? keysOfTag(session, tag);
  if (keys !== undefined) {
    for (let at = 0; at < keys.length; at += KEYS_AT_ONCE) {
      if (at > 0) await turn(session);
      session.write(() => {
        for (const key of keys.slice(at, at + KEYS_AT_ONCE)) {
          remove(find([["key = ?", key]]));
          if (forgets) forgetLonely(session, remover, model, key);
        }
      });
    }
    return sum;
  }
  for (let below: number | null = Number.MAX_SAFE_INTEGER; below !== null;) {
    if (below !== Number.MAX_SAFE_INTEGER) await turn(session);
    below = session.write(() => {
      const last = session.statement(LAST).get(below)![0] as number | null;
      if (last === null) return null;
      const first = last - LOOKED_AT + 1;
      remove(find([["rowid >= ?", first], ["rowid <= ?", last]]));
      return first;
    });
  }
  if (forgets) session.write(() => forgetLonely(session, remover, model));
  return sum;
}

function keysOfTag(session: SqlSession, tag: string | undefined): Key[] | undefined {
  if (tag === undefined) return undefined;
  return session.read([], () => session.statement(KEYS_OF_TAG).all(tag).map(([key]) => key as Key));
}

/** What is known of requests that have no answer: calls that never gave one. */
function forgetLonely(session: SqlSession, remover: SqlRemover, model: string | undefined, key?: Key): void {
  const { where, values } = conditions([["model = ?", model], ["key = ?", key]]);
  for (const table of ["request", "failure"]) {
    const rows = session.statement(`SELECT key, model FROM warmcache_${table} ${where}`).all(...values);
    for (const [found, of] of rows) remover.forget(found as Key, of as string);
  }
}

function turn({ clock }: SqlSession): Promise<void> {
  return new Promise((resolve) => clock.afterTurn(resolve));
}
