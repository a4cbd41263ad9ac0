/**
 * Reads the requests of one cache, the files they name included, and makes sure that what is sent is what was looked up.
 *
 * @module
 */

import type { Runtime } from "../runtime/runtime.ts";
import { changedFile, digestFiles, type FileDigests } from "./file_contents.ts";
import type { JsonObject } from "./json.ts";
import {
  type BypassedRequest,
  type CacheRequest,
  filesOf,
  isKeyed,
  type Reading,
  readRequest,
  type RequestDefaults,
} from "./request.ts";
import type { Scope } from "./scope.ts";

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

/** Reads requests. */
export class RequestReader {
  readonly #defaults: RequestDefaults;
  readonly #digestFile: Runtime["digestFile"] | undefined;

  /** Without `digestFile` a request that names a file is refused. */
  constructor(defaults: RequestDefaults, digestFile: Runtime["digestFile"] | undefined) {
    this.#defaults = defaults;
    this.#digestFile = digestFile;
  }

  /** @throws as {@link readRequest} does; CacheError `unavailable` when a file cannot be read. */
  async read(body: unknown, scope: Scope, reading: Reading = {}): Promise<ReadRequest> {
    const urls = reading.bypass === undefined ? filesOf(body, scope, this.#defaults) : [];
    const files = urls.length === 0 ? NO_FILES : await this.#digest(urls);
    const request = this.#readNow(body, scope, { ...reading, files });
    return {
      request,
      current: () => {
        const now = this.#readNow(body, scope, { ...reading, files });
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
        const href = changedFile(files, now);
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
