/**
 * Fields that nobody here knows. Clients send those of other servers to all servers alike, so they are passed over, and
 * the answer names them in `X-Warmcache-Ignored`; OpenAI refuses them, and so does this server for whoever sends
 * `X-Warmcache-Strict: true`. But one that looks like a known field spelled wrong is always refused: the answer would be
 * to another question than the caller believes.
 *
 * @module
 */

import { editDistance } from "../probe/nearest_name.ts";
import { invalidRequest } from "./api_error.ts";

/** The header by which a request wants unknown fields refused. */
export const STRICT_HEADER = "X-Warmcache-Strict";

/** The header in which an answer names the fields that it took no notice of. */
export const IGNORED_HEADER = "X-Warmcache-Ignored";

/** Other servers' fields that look like slips and are none: OpenRouter's fallbacks, KoboldAI's sampler. */
const LOOKALIKES: ReadonlySet<string> = new Set(["models", "top_a"]);

/** In a shorter word one letter makes another word. */
const SHORTEST_WORD = 6;
const LONGEST_HEADER = 512;
/** Each is compared with all that are known, while everybody else waits. */
const MOST_UNKNOWN = 256;

/**
 * Checks the names of a body's fields. Those that are `null` say nothing.
 *
 * @returns the headers of the answer.
 * @throws ApiError 400 `unknown_parameter`
 */
export function checkFieldNames(
  headers: Headers,
  body: Record<string, unknown>,
  known: readonly string[],
): Record<string, string> {
  const unknown = Object.keys(body).filter((name) => body[name] !== null && !known.includes(name));
  if (unknown.length > MOST_UNKNOWN) {
    const message = `Unknown parameters: ${unknown.length}, more than ${MOST_UNKNOWN}`;
    throw invalidRequest(message, undefined, "unknown_parameter");
  }
  const isStrict = headers.get(STRICT_HEADER)?.trim().toLowerCase() === "true";
  for (const name of unknown) {
    const meant = LOOKALIKES.has(name) ? undefined : known.find((each) => isSlip(name, each));
    if (meant === undefined && !isStrict) continue;
    const hint = meant === undefined ? "" : `; did you mean '${meant}'?`;
    throw invalidRequest(`Unknown parameter: '${name.slice(0, 80)}'${hint}`, name, "unknown_parameter");
  }
  const ignored = unknown.map(inAscii).join(", ").slice(0, LONGEST_HEADER);
  return ignored === "" ? {} : { [IGNORED_HEADER]: ignored };
}

/** A name for a header. Half a surrogate pair has no encoding. */
function inAscii(name: string): string {
  return encodeURIComponent(name.slice(0, LONGEST_HEADER).toWellFormed());
}

/** Another way of writing the same words, or one letter wrong. */
function isSlip(name: string, known: string): boolean {
  if (name.length > 2 * known.length) return false;
  if (lettersOf(name) === lettersOf(known)) return true;
  const isLong = Math.min(name.length, known.length) >= SHORTEST_WORD;
  return isLong && Math.abs(name.length - known.length) <= 1 && editDistance(name, known) === 1;
}

function lettersOf(name: string): string {
  return name.toLowerCase().replaceAll(/[_-]/g, "");
}
