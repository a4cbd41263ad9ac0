/**
 * Reads the requests of one cache, the files they name included, and makes sure that what is sent is what was looked up.
 *
 * @module
 */

import type { Clock } from "../../runtime/runtime.ts";
import { inTurns, WHOLE_STEPS } from "../flow/turns.ts";
import { NamesFileError } from "./canonical.ts";
import { changedFile, type DigestFile, digestFiles, type FileDigests } from "./file_contents.ts";
import type { JsonObject } from "../json.ts";
import {
  type BypassedRequest,
  type CacheRequest,
  filesOf,
  isKeyed,
  type Reading,
  readRequest,
  type RequestDefaults,
} from "./request.ts";
import { type Scope, SCOPE_OPTIONS } from "./scope.ts";
import { isSealed } from "./sealed.ts";

/** A request, read. */
export interface ReadRequest {
  readonly request: CacheRequest | BypassedRequest;
  /**
   * The body as it is to be sent now.
   *
   * @throws TypeError when it is no longer the one that was read.
   */
  current(): JsonObject;
  /** Why an answer bought meanwhile is not one to this request: a file it names has changed. */
  changed(): Promise<string | undefined>;
}

const NO_FILES: FileDigests = new Map();

/** What was read of a body, and in which scope. */
interface KnownRequest {
  readonly scope: Scope;
  readonly read: ReadRequest;
}

/** Reads requests. */
export class RequestReader {
  readonly #defaults: RequestDefaults;
  readonly #digestFile: DigestFile | undefined;
  readonly #clock: Clock;
  /** What was read of sealed bodies last. */
  readonly #known = new WeakMap<JsonObject, KnownRequest>();

  /** Without `digestFile` a request that names a file is refused. */
  constructor(defaults: RequestDefaults, digestFile: DigestFile | undefined, clock: Clock) {
    this.#defaults = defaults;
    this.#digestFile = digestFile;
    this.#clock = clock;
  }

  /**
   * A promise only for a request that names files: most do not, and most are hits, whose callers need not wait a turn.
   *
   * @throws as {@link readRequest} does; CacheError `unavailable` when a file cannot be read.
   */
  read(body: unknown, scope: Scope, reading: Reading = {}): ReadRequest | Promise<ReadRequest> {
    return isSealed(body) && isPlain(reading)
      ? this.#readSealed(body, scope, reading)
      : this.#readAnew(body, scope, reading);
  }

  #readAnew(body: unknown, scope: Scope, reading: Reading): ReadRequest | Promise<ReadRequest> {
    try {
      return this.#read(body, scope, reading, []);
    } catch (error) {
      if (!(error instanceof NamesFileError)) throw error;
      return this.#readWithFiles(body, scope, reading);
    }
  }

  #readSealed(body: JsonObject, scope: Scope, reading: Reading): ReadRequest | Promise<ReadRequest> {
    const known = this.#known.get(body);
    if (known !== undefined && isSame(known.scope, scope)) return known.read;
    const read = this.#readAnew(body, scope, reading);
    // A file that it names may have become another by the next time.
    if (!(read instanceof Promise)) this.#known.set(body, { scope: scopeIn(scope), read });
    return read;
  }

  /**
   * Reads many requests, a few at a time.
   *
   * @throws what reading the first of them that fails throws.
   */
  async readAll<B extends object>(
    bodies: readonly B[],
    scope: Scope,
    readingOf: (body: B) => Reading,
  ): Promise<ReadRequest[]> {
    const reads: (ReadRequest | Promise<ReadRequest>)[] = [];
    await inTurns(this.#clock, bodies, (body) => {
      const read = this.read(body, scope, readingOf(body));
      // Files are read meanwhile; whoever waits for all hears of the first that fails.
      if (read instanceof Promise) read.catch(() => {});
      reads.push(read);
    }, WHOLE_STEPS);
    const all: ReadRequest[] = [];
    for (const read of reads) all.push(read instanceof Promise ? await read : read);
    return all;
  }

  async #readWithFiles(body: unknown, scope: Scope, reading: Reading): Promise<ReadRequest> {
    const urls = filesOf(body, scope, this.#defaults);
    return this.#read(body, scope, { ...reading, files: await this.#digest(urls) }, urls);
  }

  #read(body: unknown, scope: Scope, reading: Reading, urls: readonly URL[]): ReadRequest {
    const request = this.#readNow(body, scope, reading);
    return {
      request,
      current: () => {
        // Long ones would take longer to look through than all else that is done for them here.
        if (isSealed(body)) return request.body;
        const now = this.#readNow(body, scope, reading);
        if (isKeyed(request) && isKeyed(now) && now.id === request.id && now.shape.samples === request.shape.samples) {
          return now.body;
        }
        throw new TypeError(
          `Cannot answer a request whose body was changed while it was looked up: model ${now.model}`,
        );
      },
      changed: async () => {
        if (urls.length === 0) return undefined;
        const now = await this.#digest(urls).catch(() => NO_FILES);
        const href = changedFile(reading.files ?? NO_FILES, now);
        return href && `a file it names changed while it was answered: ${href}`;
      },
    };
  }

  #readNow(body: unknown, scope: Scope, reading: Reading): CacheRequest | BypassedRequest {
    return readRequest(body, scope, this.#defaults, reading);
  }

  #digest(urls: readonly URL[]): Promise<FileDigests> {
    if (this.#digestFile !== undefined) return digestFiles(urls, this.#digestFile);
    throw new TypeError(`Cannot key a request by a file's content without digestFile: ${urls[0]!.href}`);
  }
}

function isPlain({ bypass, samples, isItem = false, files }: Reading): boolean {
  return bypass === undefined && samples === undefined && files === undefined && !isItem;
}

function isSame(one: Scope, other: Scope): boolean {
  return one.endpoint === other.endpoint && one.provider === other.provider && one.namespace === other.namespace &&
    one.identity === other.identity;
}

/** The scope alone, of options that say more. */
function scopeIn(options: Scope): Scope {
  const names = SCOPE_OPTIONS as readonly (keyof Scope)[];
  return Object.fromEntries(names.map((name) => [name, options[name]]).filter(([, value]) => value !== undefined));
}
