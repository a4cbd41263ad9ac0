/**
 * Texts and token ids, where a request brings many of them. Read by loops, not by a schema: one request may bring a million
 * ids, and a schema makes an object of each that is not what it tries first.
 *
 * @module
 */

import { invalidRequest } from "./api_error.ts";

/**
 * A list of token ids.
 *
 * @throws ApiError 400 that names what is none.
 */
export function readIds(ids: unknown, param: string): number[] {
  if (!Array.isArray(ids)) throw notA("list of token ids", ids, param);
  if (ids.length === 0) throw isEmpty(param);
  const odd = ids.findIndex((id) => !(Number.isSafeInteger(id) && id >= 0));
  if (odd >= 0) throw notA("token id", ids[odd], `${param}[${odd}]`);
  return ids;
}

/**
 * A text, which may be empty.
 *
 * @throws ApiError 400
 */
export function readText(text: unknown, param: string): string {
  if (typeof text !== "string") throw notA("text", text, param);
  return text;
}

/** The refusal of what has to have something in it. */
export function isEmpty(param: string): Error {
  return invalidRequest(`Invalid value for '${param}': it is empty`, param);
}

function notA(what: string, value: unknown, param: string): Error {
  const received = String(JSON.stringify(value)).slice(0, 80);
  return invalidRequest(`Invalid value for '${param}': it is no ${what}: received ${received}`, param);
}
