/**
 * One file of a model, from a site to where the page keeps it: what is there of it already is not fetched again, a broken
 * connection is taken up where it broke, and what came is hashed while it comes.
 *
 * @module
 */

import { sha1 } from "@noble/hashes/legacy.js";
import { hexOf } from "../../runtime/hex.ts";
import { messageOf } from "../../runtime/message.ts";
import type { Milliseconds, Runtime, Sha256 } from "../../runtime/runtime.ts";
import { webFile, webFolder, withWebLock } from "../../runtime/web_folder.ts";
import { PullError } from "../hub/pull_error.ts";
import { isPassing, PassingError, Retries } from "../hub/retries.ts";
import { type Fetched, type FetchJob, FOLDERS, partialName } from "./protocol.ts";
import { diskSink, memorySink, type Sink } from "./sink.ts";

/** The slice of the runtime that fetches. */
export type FetchingRuntime = Pick<Runtime, "clock" | "sha256" | "sha256InParts">;

/** Who waits for a file. */
export interface FetchWatch {
  readonly signal: AbortSignal;
  /** Hears how many bytes are there, and how many there will be where that is known. */
  readonly onBytes: (received: number, size: number | undefined) => void;
  /** Hears why an attempt came to nothing, where there is another one. */
  readonly onFailure: (message: string) => void;
}

/** How long a site may be silent. */
const SILENCE: Milliseconds = 60_000;
/** How often a whole file may turn out to hold other bytes than were promised. */
const MAX_WRONG = 2;
/** How much of what is there already is hashed at once. */
const BLOCK_BYTES = 1 << 20;

/**
 * Fetches a file, unless it is there.
 *
 * @throws PullError; the signal's reason.
 */
export async function fetchFile(runtime: FetchingRuntime, job: FetchJob, watch: FetchWatch): Promise<Fetched> {
  const { folder: name } = job;
  if (name === undefined) return await fetchInto(runtime, job, watch, () => Promise.resolve(memorySink()));
  const key = partialName(job, runtime.sha256);
  const { signal } = watch;
  // Of two tabs that want the same, one waits for the other, and finds it there.
  return await withWebLock(`warmcache fetches ${name}/${key}`, signal, async () => {
    try {
      const folder = await webFolder(name);
      const known = job.sha256 && await webFile(folder, FOLDERS.whole, job.sha256);
      const there = await (known || undefined)?.getFile();
      if (there !== undefined) {
        if (!job.isDoubted || await sha256Of(runtime, there) === job.sha256) {
          watch.onBytes(there.size, there.size);
          return { sha256: job.sha256!, size: there.size };
        }
        await (await folder.getDirectoryHandle(FOLDERS.whole)).removeEntry(job.sha256!);
      }
      return await fetchInto(runtime, job, watch, () => diskSink(folder, key));
    } catch (error) {
      throw explained(error, job);
    }
  });
}

async function sha256Of(runtime: FetchingRuntime, file: Blob): Promise<string> {
  const sha256 = runtime.sha256InParts();
  for (let start = 0; start < file.size; start += BLOCK_BYTES) {
    sha256.update(new Uint8Array(await file.slice(start, start + BLOCK_BYTES).arrayBuffer()));
  }
  return hexOf(sha256.digest());
}

async function fetchInto(
  runtime: FetchingRuntime,
  job: FetchJob,
  watch: FetchWatch,
  open: () => Promise<Sink>,
): Promise<Fetched> {
  for (let wrong = 1;; wrong++) {
    const sink = await open();
    try {
      const { sha256, isPromised } = await fetchWhole(runtime, job, watch, sink);
      if (isPromised) {
        const { size } = sink;
        const blob = await sink.keep(sha256);
        return { sha256, size, ...(blob !== undefined && { blob }) };
      }
      await sink.begin(undefined);
    } finally {
      sink.close();
    }
    watch.onBytes(0, job.size);
    const problem = `what came has another checksum than was promised (${job.sha256 ?? job.gitSha1})`;
    if (wrong === MAX_WRONG) throw new PullError("corrupt", `Cannot fetch ${job.url}: ${problem}`);
    watch.onFailure(`Cannot fetch ${job.url} so far: ${problem}; tried again now`);
  }
}

/** What is known of bytes as they come. */
class Checksums {
  readonly #runtime: FetchingRuntime;
  readonly #job: FetchJob;
  #sha256: Sha256;
  #gitSha1: ReturnType<typeof sha1.create> | undefined;

  constructor(runtime: FetchingRuntime, job: FetchJob) {
    this.#runtime = runtime;
    this.#job = job;
    this.#sha256 = runtime.sha256InParts();
    this.begin();
  }

  begin(): void {
    this.#sha256 = this.#runtime.sha256InParts();
    if (this.#job.gitSha1 === undefined) return;
    // https://git-scm.com/book/en/v2/Git-Internals-Git-Objects
    this.#gitSha1 = sha1.create().update(new TextEncoder().encode(`blob ${this.#job.size}\0`));
  }

  update(bytes: Uint8Array): void {
    this.#sha256.update(bytes);
    this.#gitSha1?.update(bytes);
  }

  end(): { readonly sha256: string; readonly isPromised: boolean } {
    const sha256 = hexOf(this.#sha256.digest());
    const gitSha1 = this.#gitSha1 && hexOf(this.#gitSha1.digest());
    const isPromised = (this.#job.sha256 ?? sha256) === sha256 && (gitSha1 === this.#job.gitSha1);
    return { sha256, isPromised };
  }
}

async function fetchWhole(
  runtime: FetchingRuntime,
  job: FetchJob,
  { signal, onBytes, onFailure }: FetchWatch,
  sink: Sink,
): Promise<ReturnType<Checksums["end"]>> {
  const checksums = new Checksums(runtime, job);
  if (sink.size > (job.size ?? Infinity)) await sink.begin(undefined);
  await hashStart(runtime, sink, checksums, signal);
  const retries = new Retries(runtime.clock, { onFailure }, signal);
  let farthest = 0;
  const reached = (total: number | undefined): void => {
    onBytes(sink.size, total);
    // Bytes that came before are no progress: a site that breaks off at one place each time would be asked for ever.
    if (sink.size > farthest) retries.progress();
    farthest = Math.max(farthest, sink.size);
  };
  await retries.run(`fetch ${job.url}`, () => fetchRest(runtime, job, { sink, checksums, signal, reached }));
  return checksums.end();
}

async function hashStart(
  { clock }: FetchingRuntime,
  sink: Sink,
  checksums: Checksums,
  signal: AbortSignal,
): Promise<void> {
  const block = new Uint8Array(BLOCK_BYTES);
  for (let position = 0, count; (count = sink.read(block, position)) > 0; position += count) {
    checksums.update(block.subarray(0, count));
    await new Promise<void>((resolve) => clock.afterTurn(resolve));
    signal.throwIfAborted();
  }
}

interface Attempt {
  readonly sink: Sink;
  readonly checksums: Checksums;
  readonly signal: AbortSignal;
  readonly reached: (total: number | undefined) => void;
}

/** Fetches what is missing; throws when it is less than all in the end. */
async function fetchRest(
  { clock }: FetchingRuntime,
  job: FetchJob,
  { sink, checksums, signal, reached }: Attempt,
): Promise<void> {
  if (sink.size > 0 && sink.size === job.size) return reached(job.size);
  const hangUp = new AbortController();
  const either = AbortSignal.any([hangUp.signal, signal]);
  const within = async <T>(work: Promise<T>): Promise<T> => {
    const over = new AbortController();
    const silence = clock.sleep(SILENCE, { signal: over.signal, background: true }).then(() => {
      throw new Error(`the site has been silent for ${SILENCE / 1000} s`);
    });
    for (const each of [work, silence]) each.catch(() => {});
    try {
      return await Promise.race([work, silence]);
    } catch (error) {
      hangUp.abort();
      throw new PassingError(messageOf(error));
    } finally {
      over.abort();
    }
  };
  const start = sink.size;
  const response = await within(fetch(job.url, {
    headers: { ...job.headers, ...start > 0 && { Range: `bytes=${start}-` } },
    // It is kept here: no need to keep it twice.
    cache: "no-store",
    signal: either,
  }));
  try {
    refuseFailure(response, job);
    const version = job.sha256 ?? job.gitSha1 ?? versionOf(response);
    const goesOn = response.status === 206 && start > 0 && startsAt(response, start) &&
      (version !== undefined && version === sink.beginningOf);
    if (!goesOn) {
      await sink.begin(version);
      checksums.begin();
      // Another file by now, or bytes from somewhere else: all of it, then.
      if (response.status !== 200) throw new PassingError("the file is another one than it was");
    }
    const said = totalOf(response, goesOn ? start : 0);
    const total = job.size ?? said;
    reached(total);
    const reader = response.body!.getReader();
    for (;;) {
      const { done, value } = await within(reader.read());
      if (done) break;
      if (sink.size + value.length > (job.size ?? Infinity)) {
        await sink.begin(undefined);
        throw new PullError(
          "corrupt",
          `Cannot fetch ${job.url}: more came than the ${job.size} bytes that were promised`,
        );
      }
      sink.append(value);
      checksums.update(value);
      reached(total);
    }
    if (sink.size < (total ?? 0) && sink.size === said) {
      await sink.begin(undefined);
      throw new PullError("corrupt", `Cannot fetch ${job.url}: it has ${said} bytes, and ${total} were promised`);
    }
    if (sink.size < (total ?? 0)) throw new PassingError(`the connection ended after ${sink.size} of ${total} bytes`);
  } finally {
    hangUp.abort();
  }
}

/** Turns an answer that is none into an error; one that may pass says so. */
function refuseFailure({ status, headers }: Response, { url }: FetchJob): void {
  // Asked for what follows all there is: begun again below.
  if (status < 400 || status === 416) return;
  if (isPassing(status)) throw new PassingError(`the site answers ${status}`, headers.get("Retry-After") ?? undefined);
  const code = status === 404 || status === 410
    ? "not_found"
    : status === 401 || status === 403
    ? "refused"
    : undefined;
  throw new PullError(code ?? "unreachable", `Cannot fetch ${url}: the site answers ${status}`);
}

/**
 * What tells one version of a file from another, where its content is not known before. No date does: sites are built
 * whose files all have the same one. https://www.rfc-editor.org/rfc/rfc9110#section-15.3.7.3
 */
function versionOf({ headers }: Response): string | undefined {
  const etag = headers.get("ETag");
  return etag === null || etag.startsWith("W/") ? undefined : etag;
}

/** Whether an answer begins where we are. Sites elsewhere need not let a page see: then it does, as was asked for. */
function startsAt({ headers }: Response, start: number): boolean {
  const range = headers.get("Content-Range");
  return range === null || range.startsWith(`bytes ${start}-`);
}

/** How many bytes there will be. Of what was sent compressed, nobody can say. */
function totalOf({ headers }: Response, start: number): number | undefined {
  const length = headers.get("Content-Length");
  const isPlain = (headers.get("Content-Encoding") ?? "identity") === "identity";
  return length === null || !isPlain ? undefined : start + Number(length);
}

function explained(error: unknown, { url }: FetchJob): unknown {
  const { name } = error as Partial<Error>;
  if (error instanceof PullError || name === "AbortError") return error;
  const isFull = name === "QuotaExceededError" || name === "NS_ERROR_FILE_NO_DEVICE_SPACE";
  const reason = isFull
    ? "the browser has no more room for this site; what came of it is kept for another time"
    : messageOf(error);
  return new PullError("disk", `Cannot keep ${url}: ${reason}`, { cause: error });
}
