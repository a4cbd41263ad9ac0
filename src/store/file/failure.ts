/**
 * What went wrong with a file, in the words of the store's contract, with what to do about it.
 *
 * @module
 */

import { messageOf } from "../../runtime/message.ts";
import { FileError } from "../../runtime/runtime.ts";
import { CacheError } from "../error.ts";

const RIGHTS = "give this process the right to read and write there, or use another directory";
const ROOM = "make room there, or use another directory";

const ADVICE: Readonly<Record<string, string>> = {
  EACCES: RIGHTS,
  EPERM: RIGHTS,
  EROFS: 'it can only be read: use mode "read-only", or another directory',
  ENOSPC: ROOM,
  EDQUOT: ROOM,
  ENOTDIR: "a file is in the way of a folder: move it, or use another directory",
  EEXIST: "a file is in the way of a folder: move it, or use another directory",
  EISDIR: "a folder is in the way of a file: move it, or use another directory",
};

/** Any failure as a {@link CacheError}. */
export function toCacheError(error: unknown): CacheError {
  if (error instanceof CacheError) return error;
  const message = messageOf(error);
  const advice = error instanceof FileError ? ADVICE[error.code] : undefined;
  return new CacheError("unavailable", advice ? `${message}; ${advice}` : message, { cause: error });
}

/** Whether a file could not be used because it, or a folder it would be in, is not there. */
export function isMissing(error: unknown): boolean {
  return error instanceof FileError && (error.code === "ENOENT" || error.code === "ENOTDIR");
}
