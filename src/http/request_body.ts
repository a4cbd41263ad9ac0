/**
 * The body of a request that is a JSON object.
 *
 * @module
 */

import type { Context } from "hono";
import { MAX_DEPTH } from "../cache/request/canonical.ts";
import { parseRequest } from "../cache/request/raw_json.ts";
import { ApiError, invalidRequest } from "./errors.ts";

/** Longest request body, in bytes: several times the longest context in text. */
const MOST_BODY_BYTES = 32 * 1024 * 1024;

/** A body that was read. */
export interface RequestBody {
  readonly body: Record<string, unknown>;
  /** Why the cache must not answer or keep it, when it cannot be keyed safely. */
  readonly unkeyable: string | undefined;
}

/**
 * Reads it.
 *
 * @throws ApiError 400
 */
export async function readRequestBody(context: Context): Promise<RequestBody> {
  return parse(await readText(context));
}

async function readText({ req: { raw } }: Context): Promise<string> {
  if (Number(raw.headers.get("Content-Length") ?? 0) > MOST_BODY_BYTES) throw tooLarge();
  // Half a character and broken bytes are no question: what would be put in their place nobody asked.
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const reader = raw.body?.getReader();
  let text = "";
  for (let length = 0;;) {
    const { done, value } = await nextPiece(reader);
    if (value !== undefined && (length += value.length) > MOST_BODY_BYTES) {
      reader?.cancel().catch(() => {});
      throw tooLarge();
    }
    text += decode(decoder, value);
    if (done) return text;
  }
}

async function nextPiece(
  reader: ReadableStreamDefaultReader<Uint8Array> | undefined,
): Promise<{ readonly done: boolean; readonly value?: Uint8Array | undefined }> {
  try {
    return await reader?.read() ?? { done: true };
  } catch (error) {
    throw invalidRequest(`The body of the request broke off: ${(error as Error).message}`);
  }
}

/** The next piece of a text, or, without one, its end. */
function decode(decoder: TextDecoder, piece: Uint8Array | undefined): string {
  try {
    return decoder.decode(piece as Uint8Array<ArrayBuffer> | undefined, { stream: piece !== undefined });
  } catch {
    throw invalidRequest("The body of a request has to be UTF-8");
  }
}

function tooLarge(): ApiError {
  return new ApiError(413, "invalid_request_error", `A request body may have ${MOST_BODY_BYTES} bytes at most`);
}

function parse(text: string): RequestBody {
  let parsed;
  try {
    parsed = parseRequest(text);
  } catch (error) {
    throw invalidRequest((error as Error).message);
  }
  const { body, unkeyable } = parsed;
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw invalidRequest(`The body of a request has to be a JSON object: ${text.slice(0, 40)}`);
  }
  if (unkeyable !== undefined && isTooDeep(body)) {
    throw invalidRequest(`The body of a request may have ${MAX_DEPTH} objects and lists inside each other at most`);
  }
  return { body: body as Record<string, unknown>, unkeyable };
}

/** Whether a value is nested deeper than what goes on with it, by recursion and in a Worker, can follow. */
function isTooDeep(value: object): boolean {
  let level: object[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth === MAX_DEPTH) return true;
    level = level.flatMap((each): unknown[] => Object.values(each)).filter(isComposite);
  }
  return false;
}

function isComposite(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
