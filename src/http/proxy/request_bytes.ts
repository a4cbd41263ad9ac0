/**
 * The bytes of a request's body, in memory and up to a bound. What nobody here has to read passes through without one.
 *
 * @module
 */

import { ApiError, invalidRequest } from "../api_error.ts";
import type { Limits } from "../limits/limits.ts";

/**
 * Reads them.
 *
 * @throws ApiError 413 when there are more than may be, as soon as that is known; 400 when the body breaks off.
 */
export async function readBytes(
  request: Request,
  { maxBodyBytes }: Pick<Limits, "maxBodyBytes">,
): Promise<Uint8Array<ArrayBuffer>> {
  const length = request.headers.get("Content-Length");
  if (Number(length ?? 0) > maxBodyBytes) throw tooLong(maxBodyBytes);
  try {
    if (length !== null || request.body === null) return new Uint8Array(await request.arrayBuffer());
    return await gather(request.body, maxBodyBytes);
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw invalidRequest("The body of the request broke off");
  }
}

async function gather(body: ReadableStream<Uint8Array>, most: number): Promise<Uint8Array<ArrayBuffer>> {
  const reader = body.getReader();
  const pieces: Uint8Array[] = [];
  let length = 0;
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    length += next.value.length;
    if (length > most) {
      reader.cancel().catch(() => {});
      throw tooLong(most);
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

function tooLong(most: number): ApiError {
  return new ApiError(413, "invalid_request_error", `A request's body may have ${most} bytes at most`, {
    code: "request_too_large",
  });
}
