/**
 * Files named in a request stand in its key for their content, not for their path: the same picture somewhere else is
 * the same request, another picture at the same path is another one. A file is named by a `URL` object with the protocol
 * `file:`; a text is never taken for a path. `docs/key.md` says how the key is made.
 *
 * @module
 */

import { messageOf } from "../../runtime/message.ts";
import { CacheError } from "../../store/error.ts";
import { isFileUrl, MAX_DEPTH, valueAsSent } from "./canonical.ts";
import type { JsonObject } from "../json.ts";

/**
 * Hashes a file of this machine, given its path: SHA-256, as 64 lower-case hexadecimal digits.
 *
 * @throws Error when it cannot be read, or changes while it is read.
 */
export type DigestFile = (path: string) => Promise<{ readonly sha256: string }>;

/** SHA-256 of files, 64 lower-case hexadecimal digits each, by the `href` of their URLs. */
export type FileDigests = ReadonlyMap<string, string>;

/** A request's body as it is keyed. */
export interface KeyedContents {
  /** The body with `{"file":"sha256:<digest>"}` in place of every file. */
  readonly body: JsonObject;
  /**
   * Where those places are, as JSON Pointers (RFC 6901) in ascending order of UTF-16 code units. They are a member of the
   * envelope that is hashed, so that a body in which somebody wrote the same JSON by hand has another key.
   */
  readonly files: readonly string[];
}

/**
 * The files that a body names, each `href` once. Empty, at the cost of a walk that looks at no text, for nearly every
 * request.
 *
 * @param ignore top-level members that are not in the key: files under them do not matter.
 */
export function fileUrls(body: JsonObject, ignore: ReadonlySet<string>): URL[] {
  const found = new Map<string, URL>();
  new FileWalk((url) => {
    if (!found.has(url.href)) found.set(url.href, url);
    return url;
  }).body(body, ignore);
  return [...found.values()];
}

/**
 * Hashes files.
 *
 * @throws CacheError `unavailable` when one is missing, cannot be read or changes meanwhile, with the reason as `cause`.
 * @throws TypeError for a URL that names no file of this machine.
 */
export async function digestFiles(urls: readonly URL[], digestFile: DigestFile): Promise<FileDigests> {
  const digests = await Promise.all(urls.map(async (url) => {
    const path = pathOf(url);
    try {
      return [url.href, (await digestFile(path)).sha256] as const;
    } catch (cause) {
      const reason = messageOf(cause);
      throw new CacheError(
        "unavailable",
        `Cannot key a request by a file's content: ${url.href}: ${reason}; make it readable, or send it as a text`,
        { cause },
      );
    }
  }));
  return new Map(digests);
}

/** The first file whose content is no longer what it was: the answer that was bought meanwhile must not be stored. */
export function changedFile(before: FileDigests, after: FileDigests): string | undefined {
  return [...before].find(([href, digest]) => after.get(href) !== digest)?.[0];
}

/**
 * The body with files replaced by their content, for the key only: what is sent is the caller's business.
 *
 * @param ignore as for {@link fileUrls}.
 * @throws TypeError when the body names a file that has no digest: it was changed after its files were read.
 */
export function withContents(body: JsonObject, ignore: ReadonlySet<string>, digests: FileDigests): KeyedContents {
  const files: string[] = [];
  const keyed = new FileWalk((url, names) => {
    const digest = digests.get(url.href);
    if (digest === undefined) {
      throw new TypeError(`Cannot key a request that came to name another file while its files were read: ${url.href}`);
    }
    files.push(names.map((name) => `/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`).join(""));
    return { file: `sha256:${digest}` };
  }).body(body, ignore);
  return { body: keyed, files: files.sort() };
}

/** The path in the local file system. */
function pathOf(url: URL): string {
  if (url.host !== "" || /%2f|%5c|%00/i.test(url.pathname)) {
    throw new TypeError(`Cannot read a file that is none of this machine: ${url.href}`);
  }
  try {
    // A drive of Windows: /C:/folder
    return decodeURIComponent(url.pathname).replace(/^\/(?=[A-Za-z]:\/)/, "");
  } catch (cause) {
    throw new TypeError(`Cannot read a file whose URL is malformed: ${url.href}`, { cause });
  }
}

/** Walks what canonical JSON would write, and copies only what leads to a file. */
class FileWalk {
  readonly #replace: (url: URL, names: readonly string[]) => unknown;
  readonly #names: string[] = [];
  readonly #ancestors: object[] = [];

  constructor(replace: (url: URL, names: readonly string[]) => unknown) {
    this.#replace = replace;
  }

  body(body: JsonObject, ignore: ReadonlySet<string>): JsonObject {
    return this.#composite(body, (name) => ignore.has(name)) as JsonObject;
  }

  #value(held: unknown, name: string): unknown {
    if (isFileUrl(held)) return this.#replace(held, this.#names);
    const sent = valueAsSent(held, name);
    if (isFileUrl(sent)) return this.#replace(sent, this.#names);
    if (typeof sent !== "object" || sent === null) return held;
    const walked = this.#composite(sent, () => false);
    return walked === sent ? held : walked;
  }

  #composite(value: object, skip: (name: string) => boolean): object {
    // Cycles and what is too deep are canonical JSON's to refuse, with its own words.
    if (this.#ancestors.length === MAX_DEPTH || this.#ancestors.includes(value)) return value;
    this.#ancestors.push(value);
    const replaced = new Map<string, unknown>();
    for (const at of Array.isArray(value) ? value.keys() : Object.keys(value)) {
      const member: unknown = (value as JsonObject)[at];
      // A list may hold a hundred thousand tokens: no name is made for what cannot hold a file.
      if (member === null || typeof member === "string" || typeof member === "number") continue;
      const name = String(at);
      if (skip(name)) continue;
      this.#names.push(name);
      const walked = this.#value(member, name);
      this.#names.pop();
      if (walked !== member) replaced.set(name, walked);
    }
    this.#ancestors.pop();
    if (replaced.size === 0) return value;
    if (Array.isArray(value)) return value.map((item, index) => replaced.get(String(index)) ?? item);
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, replaced.get(name) ?? item]));
  }
}
