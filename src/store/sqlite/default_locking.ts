/**
 * How databases are opened for a user who did not say. By itself, so that who only wants to know does not load SQLite.
 *
 * @module
 */

import type { Locking } from "../../sqlite/open.ts";

/** Where a database cannot be shared, it is opened `exclusive`. */
export const DEFAULT_LOCKING: Locking = "shared";
