/**
 * The version of this program, for `/health` and the command line. A test holds it against `deno.json`.
 *
 * @module
 */

/** Semantic version. */
export const VERSION = "0.1.0";
