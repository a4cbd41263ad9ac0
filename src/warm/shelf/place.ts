/**
 * Where the models of a page come from: a folder of a site, or a hub. Whoever runs the page names every place; what a
 * place says is in it are paths below it and nothing else.
 *
 * @module
 */

import { refuseUnknownOptions } from "../../runtime/options.ts";
import { isName } from "../spec.ts";

/** A folder with a model in Hugging Face layout, on the page's own site or on one that lets it read (CORS). */
export interface FolderPlace {
  /** The folder. What is relative is so to the page. */
  readonly url: string | URL;
  /** What is in it: paths, or what is known of them besides. Default: what its `files.json` says, `{ "files": […] }`. */
  readonly files?: readonly (string | FolderFile)[];
}

/** A file in a folder. */
export interface FolderFile {
  /** Below the folder, such as `onnx/model.onnx`. */
  readonly path: string;
  /** Bytes that it has. */
  readonly size?: number;
  /** SHA-256 of them, as 64 hexadecimal digits. A file that has it is known before it is fetched. */
  readonly sha256?: string;
}

/** A repository on Hugging Face's hub, or a mirror of it that pages may read (CORS). */
export interface HubPlace {
  /** The hub. `https://huggingface.co` is one. */
  readonly hub: string | URL;
  /** Which repository. Default: what the model is called here. */
  readonly id?: string;
  /** A branch, tag or commit. Default: `main`. */
  readonly revision?: string;
  /** Sent to the hub. Whoever can read the page can read it. */
  readonly token?: string;
}

/** A place. A text or URL alone is a folder's. */
export type ModelPlace = string | URL | FolderPlace | HubPlace;

/** A file at a place. */
export interface PlacedFile {
  /** Below the model's folder. */
  readonly path: string;
  readonly url: string;
  readonly size?: number;
  /** SHA-256 of its bytes. */
  readonly sha256?: string;
  /** SHA-1 of its bytes as a Git blob, where only that is known. */
  readonly gitSha1?: string;
}

/** Reads an answer in JSON. */
export type ReadJson = (url: string, headers: Readonly<Record<string, string>>) => Promise<unknown>;

/** A place that was checked. */
export interface KnownPlace {
  /** Another text for another place. */
  readonly id: string;
  /** Headers of whatever is asked there. */
  readonly headers: Readonly<Record<string, string>>;
  /**
   * What is there now.
   *
   * @throws what `read` throws; TypeError for an answer that is no list.
   */
  list(read: ReadJson): Promise<PlacedFile[]>;
}

/** What a folder says of itself. */
const LISTING = "files.json";

const REVISION = /^[A-Za-z0-9_][A-Za-z0-9_.-]*(\/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$/;
const SHA256 = /^[0-9a-f]{64}$/;
const SHA1 = /^[0-9a-f]{40}$/;
const TOKEN = /^[\x21-\x7e]+$/;
const SEGMENT = /^[A-Za-z0-9_][A-Za-z0-9._+-]*$/;

/**
 * Checks a place.
 *
 * @param name what the model is called.
 * @param base what relative URLs are relative to.
 * @throws TypeError
 */
export function knownPlace(name: string, place: ModelPlace, base: string | undefined): KnownPlace {
  if (!isName(name)) throw new TypeError(`Cannot keep a model under this name: ${JSON.stringify(name)}`);
  if (typeof place === "string" || place instanceof URL) return folderPlace(name, { url: place }, base);
  if (typeof place !== "object" || place === null) throw new TypeError(`Cannot say where ${name} is: ${place}`);
  return "hub" in place ? hubPlace(name, place, base) : folderPlace(name, place, base);
}

function folderPlace(name: string, place: FolderPlace, base: string | undefined): KnownPlace {
  refuseUnknownOptions(`say where ${name} is`, place, ["url", "files"]);
  const folder = urlOf(name, place.url, base);
  const files = place.files && readFiles(name, place.files, folder);
  return {
    id: JSON.stringify(["folder", folder, ...files === undefined ? [] : [files]]),
    headers: {},
    async list(read) {
      if (files !== undefined) return files;
      const answer = await read(new URL(LISTING, folder).href, {});
      return readFiles(name, (answer as { files?: unknown } | null)?.files, folder);
    },
  };
}

function hubPlace(name: string, place: HubPlace, base: string | undefined): KnownPlace {
  refuseUnknownOptions(`say where ${name} is`, place, ["hub", "id", "revision", "token"]);
  const { id = name.split("@")[0]!, revision = name.split("@")[1] ?? "main", token } = place;
  const hub = urlOf(name, place.hub, base);
  if (!isName(id) || id.includes("@")) throw new TypeError(`Cannot ask a hub for this model: ${JSON.stringify(id)}`);
  if (!REVISION.test(revision)) {
    throw new TypeError(`Cannot ask a hub for ${id} at what is no revision: ${JSON.stringify(revision)}`);
  }
  if (token !== undefined && !TOKEN.test(token)) {
    throw new TypeError(`Cannot ask a hub for ${id}: the token has characters that no token has`);
  }
  const headers: Record<string, string> = token === undefined ? {} : { Authorization: `Bearer ${token}` };
  return {
    id: JSON.stringify(["hub", hub, id, revision]),
    headers,
    async list(read) {
      // https://huggingface.co/docs/hub/api: with `blobs`, each file's size and checksum.
      const answer = await read(`${hub}api/models/${id}/revision/${encodeURIComponent(revision)}?blobs=true`, headers);
      const { sha, siblings } = (answer ?? {}) as { sha?: unknown; siblings?: unknown };
      if (typeof sha !== "string" || !SHA1.test(sha) || !Array.isArray(siblings)) {
        throw new TypeError(`Cannot tell what is in ${id}: the answer is not a hub's: ${hub}`);
      }
      const found = siblings.map(readSibling).filter((file) => file !== undefined);
      return found.map((file) => ({ ...file, url: `${hub}${id}/resolve/${sha}/${encodedPath(file.path)}` }));
    },
  };
}

function readSibling(sibling: unknown): Omit<PlacedFile, "url"> | undefined {
  const { rfilename: path, size, blobId, lfs } = (sibling ?? {}) as Record<string, unknown>;
  // What no model's file is called is none of ours: repositories have pictures and what else there is.
  if (typeof path !== "string" || !isPath(path)) return undefined;
  const { sha256, size: wholeSize } = (lfs ?? {}) as Record<string, unknown>;
  const bytes = typeof wholeSize === "number" ? wholeSize : size;
  return {
    path,
    ...(isSize(bytes) && { size: bytes }),
    ...(typeof sha256 === "string" && SHA256.test(sha256)
      ? { sha256 }
      : typeof blobId === "string" && SHA1.test(blobId) && { gitSha1: blobId }),
  };
}

function readFiles(name: string, files: unknown, folder: string): PlacedFile[] {
  if (!Array.isArray(files)) {
    throw new TypeError(`Cannot tell what is in ${name}: there is no list of files: ${folder}`);
  }
  return files.map((file: unknown) => {
    const { path, size, sha256 } = (typeof file === "string" ? { path: file } : file ?? {}) as Record<string, unknown>;
    const isSound = typeof path === "string" && isPath(path) && (size === undefined || isSize(size)) &&
      (sha256 === undefined || (typeof sha256 === "string" && SHA256.test(sha256)));
    if (!isSound) throw new TypeError(`Cannot tell what is in ${name}: this is no file of it: ${JSON.stringify(file)}`);
    return {
      path,
      url: new URL(encodedPath(path), folder).href,
      ...(size !== undefined && { size }),
      ...(sha256 !== undefined && { sha256 }),
    };
  });
}

function isSize(size: unknown): size is number {
  return Number.isSafeInteger(size) && (size as number) >= 0;
}

/** No way out of the folder, and nothing that is hidden. */
function isPath(path: string): boolean {
  return path.split("/").every((part) => SEGMENT.test(part));
}

function encodedPath(path: string): string {
  return path.split("/").map(encodeURIComponent).join("/");
}

/** A folder's URL, which ends with a slash, so that what is in it is below it. */
function urlOf(name: string, given: string | URL, base: string | undefined): string {
  const url = URL.canParse(String(given), base) ? new URL(String(given), base) : undefined;
  const isPlain = url !== undefined && /^https?:$/.test(url.protocol) && url.search === "" && url.hash === "" &&
    url.username === "" && url.password === "";
  if (!isPlain) throw new TypeError(`Cannot fetch ${name} from what is no HTTP URL of a folder: ${String(given)}`);
  return url.href.endsWith("/") ? url.href : `${url.href}/`;
}
