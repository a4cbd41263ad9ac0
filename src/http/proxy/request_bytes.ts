/**
 * Bodies that the cache has to read, in memory and up to a bound. Providers take shorter ones; whatever the cache need
 * not read passes through without one.
 *
 * @module
 */

import { ApiError, invalidRequest } from "../errors.ts";

/** Longest body of a request that the cache may answer. */
export const MOST_BYTES: number = 64 * 1024 * 1024;

/**
 * The bytes of a request's body.
 *
 * @throws ApiError 413 when there are more than {@link MOST_BYTES}, as soon as that is known; 400 when it breaks off.
 */
export async function readBytes(request: Request): Promise<Uint8Array<ArrayBuffer>> {
  const length = request.headers.get("Content-Length");
  if (Number(length ?? 0) > MOST_BYTES) throw tooLong();
  try {
    if (length !== null || request.body === null) return new Uint8Array(await request.arrayBuffer());
    return await gather(request.body);
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw invalidRequest("The body of the request broke off");
  }
}

async function gather(body: ReadableStream<Uint8Array>): Promise<Uint8Array<ArrayBuffer>> {
  const reader = body.getReader();
  const pieces: Uint8Array[] = [];
  let length = 0;
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    length += next.value.length;
    if (length > MOST_BYTES) {
      reader.cancel().catch(() => {});
      throw tooLong();
    }
    pieces.push(next.value);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

function tooLong(): ApiError {
  return new ApiError(413, "invalid_request_error", `A request to be cached may have ${MOST_BYTES} bytes at most`, {
    code: "request_too_large",
  });
}
