/**
 * The part of a statement that says which rows, made of what was asked for: what nobody asked for is not in it, so that
 * SQLite finds the index that fits. Parameters are anonymous, which every driver binds alike.
 *
 * @module
 */

import type { SqlValue } from "../../sqlite/driver.ts";

/** A condition on rows with one parameter; without a value it is none. */
export type Condition = readonly [sql: string, value: SqlValue | undefined];

/** A WHERE clause, or nothing, and the values of its parameters. */
export function conditions(all: readonly Condition[]): { readonly where: string; readonly values: SqlValue[] } {
  const said = all.filter(([, value]) => value !== undefined);
  const where = said.length === 0 ? "" : `WHERE ${said.map(([sql]) => sql).join(" AND ")}`;
  return { where, values: said.map(([, value]) => value!) };
}
