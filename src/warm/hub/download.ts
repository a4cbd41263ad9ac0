/**
 * One file of a repository, from the hub to the cache's `blobs`. What is there of it already is not fetched again, what
 * arrives is checked before it gets its name, and of two that fetch the same file one waits for the other.
 *
 * @module
 */

import { hexOf } from "../../runtime/hex.ts";
import type { FileError, Milliseconds, Runtime, WholeFileLock } from "../../runtime/runtime.ts";
import type { FileInfo, HubClient } from "./hub_client.ts";
import { PullError } from "./pull_error.ts";
import { PassingError } from "./retries.ts";

/** The slice of the runtime that fetches. */
export type PullingRuntime = Pick<Runtime, "clock" | "digestFile" | "files" | "lockWholeFile">;

/** A file to fetch. */
export interface Download {
  readonly id: string;
  readonly commit: string;
  /** Its path in the repository. */
  readonly path: string;
  readonly info: FileInfo;
  /** Where it goes: `blobs/<etag>`. */
  readonly blob: string;
  /** A file to lock meanwhile. */
  readonly lock: string;
  /** Hears how many of its bytes are there. */
  readonly onBytes: (bytes: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/** How often to look whether somebody else has fetched the file. */
const LOOK_AGAIN: Milliseconds = 300;

/** How often a whole file may turn out to hold other bytes than were promised. */
const MAX_WRONG = 2;

/** Small files have the checksum of a Git blob, which takes them as a whole. The hub's limit for these is 10 MB. */
const MAX_GIT_BLOB = 1 << 26;

/**
 * Fetches a file, unless it is there.
 *
 * @throws PullError; the signal's reason.
 */
export async function download(runtime: PullingRuntime, client: HubClient, file: Download): Promise<void> {
  const { blob, info, onBytes, signal } = file;
  const isThere = async () => (await runtime.files.stat(blob))?.size === info.size;
  let lock: WholeFileLock | undefined;
  try {
    for (;;) {
      if (await isThere()) return onBytes(info.size);
      lock = runtime.lockWholeFile(file.lock);
      if (lock !== undefined) break;
      await runtime.clock.sleep(LOOK_AGAIN, signal === undefined ? {} : { signal });
    }
    // Whoever held the lock until now may have finished.
    if (await isThere()) return onBytes(info.size);
    // Not the name that huggingface_hub uses: it locks in another way, and must not write to the same file.
    const partial = `${blob}.warmcache.incomplete`;
    await fetchChecked(runtime, client, file, partial);
    await runtime.files.sync(partial);
    await runtime.files.rename(partial, blob);
  } catch (error) {
    throw explained(error, file);
  } finally {
    lock?.release();
  }
}

async function fetchChecked(
  runtime: PullingRuntime,
  client: HubClient,
  file: Download,
  partial: string,
): Promise<void> {
  for (let wrong = 1;; wrong++) {
    const retries = client.retries();
    let farthest = 0;
    const reached = (end: number): void => {
      file.onBytes(end);
      // Bytes that came before are no progress: a hub that breaks off at one place each time would be asked for ever.
      if (end <= farthest) return;
      farthest = end;
      retries.progress();
    };
    await retries.run(`fetch ${file.path} of ${file.id}`, () => fetchRest(runtime, client, file, partial, reached));
    if (await checksumOf(runtime, partial, file.info) === file.info.etag) return;
    runtime.files.remove(partial);
    file.onBytes(0);
    if (wrong < MAX_WRONG) continue;
    const message = `Cannot fetch ${file.path} of ${file.id}: what came has another checksum than the hub promised ` +
      `(${file.info.etag})`;
    throw new PullError("corrupt", message);
  }
}

/** Appends to what is there of the file, and says how far it is; throws when it is less than all in the end. */
async function fetchRest(
  { files }: PullingRuntime,
  client: HubClient,
  { id, commit, path, info }: Download,
  partial: string,
  reached: (end: number) => void,
): Promise<void> {
  const target = files.open(partial, "create");
  try {
    let end = target.size();
    if (end > info.size) target.truncate(end = 0);
    reached(end);
    if (end === info.size) return;
    const response = await client.open(id, commit, path, end);
    if (!continues(response, end, info.size)) {
      // A server that knows no ranges sends the whole file, and one that finds ours strange none.
      target.truncate(end = 0);
      reached(0);
    }
    if (response.status === 416) {
      await response.body?.cancel();
      throw new PassingError("the hub has no bytes from there on");
    }
    for await (const piece of client.pieces(response)) {
      if (end + piece.length > info.size) {
        target.truncate(0);
        throw new PassingError(`the hub sends more than the ${info.size} bytes it promised`);
      }
      target.write(piece, end);
      end += piece.length;
      reached(end);
    }
    if (end < info.size) throw new PassingError(`the connection ended after ${end} of ${info.size} bytes`);
  } finally {
    target.close();
  }
}

/** Whether an answer goes on where we are. https://www.rfc-editor.org/rfc/rfc9110#section-14.4 */
function continues({ status, headers }: Response, start: number, size: number): boolean {
  if (status !== 206) return start === 0;
  const [, from, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headers.get("Content-Range") ?? "") ?? [];
  if (Number(from) === start && (total === "*" || Number(total) === size)) return true;
  throw new PassingError(`the hub sends another range than bytes ${start}- of ${size}`);
}

async function checksumOf(
  { files, digestFile }: PullingRuntime,
  path: string,
  { etag, size }: FileInfo,
): Promise<string> {
  if (etag.length === 64) return (await digestFile(path)).sha256;
  if (size > MAX_GIT_BLOB) {
    throw new PullError("corrupt", `Cannot check ${path}: too large for a Git blob, ${size} bytes`);
  }
  // https://git-scm.com/book/en/v2/Git-Internals-Git-Objects
  const header = new TextEncoder().encode(`blob ${size}\0`);
  const bytes = new Uint8Array(header.length + size);
  bytes.set(header);
  bytes.set(await files.read(path), header.length);
  return hexOf(new Uint8Array(await crypto.subtle.digest("SHA-1", bytes)));
}

function explained(error: unknown, { path, id, info }: Download): unknown {
  const { name, code, message } = error as Partial<FileError>;
  if (name !== "FileError") return error;
  const reason = code === "ENOSPC" || code === "EDQUOT"
    ? `the disk is full; the file has ${info.size} bytes, and what came of it is kept for the next time`
    : message;
  return new PullError("disk", `Cannot write ${path} of ${id}: ${reason}`, { cause: error });
}
