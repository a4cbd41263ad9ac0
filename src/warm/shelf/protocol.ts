/**
 * What a page and its Workers say to each other about files of models: the page has them fetched, and lends them.
 *
 * @module
 */

import { hexOf } from "../../runtime/hex.ts";
import type { Runtime } from "../../runtime/runtime.ts";
import type { PullErrorCode } from "../hub/pull_error.ts";

/** A file to fetch. */
export interface FetchJob {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly size: number | undefined;
  readonly sha256: string | undefined;
  readonly gitSha1: string | undefined;
  /** Whether what is there already is to be looked at first: somebody found other bytes in it. */
  readonly isDoubted: boolean;
  /** The folder in the page's own file system (OPFS) that it goes to; memory when left out. */
  readonly folder: string | undefined;
}

/** A file that was fetched. */
export interface Fetched {
  readonly sha256: string;
  readonly size: number;
  /** Its bytes, where they are in memory alone. */
  readonly blob?: Blob;
}

/** To a Worker that fetches, and to one that borrows. */
export type ToWorker =
  | { readonly type: "fetch"; readonly id: number; readonly job: FetchJob }
  | { readonly type: "stop"; readonly id: number }
  | { readonly type: "lent"; readonly id: number; readonly blobs: readonly Blob[] }
  | { readonly type: "not lent"; readonly id: number; readonly message: string }
  | { readonly type: "onnxruntime"; readonly folder: string };

/** From a Worker. */
export type FromWorker =
  | { readonly type: "came"; readonly id: number; readonly received: number; readonly size: number | undefined }
  | { readonly type: "not yet"; readonly id: number; readonly message: string }
  | { readonly type: "fetched"; readonly id: number; readonly file: Fetched }
  | { readonly type: "failed"; readonly id: number; readonly code: PullErrorCode; readonly message: string }
  | { readonly type: "borrow"; readonly id: number; readonly paths: readonly string[] };

/**
 * Under which name what came of a file so far is found again.
 *
 * @param sha256 the machine's.
 */
export function partialName(
  file: { readonly sha256?: string | undefined; readonly gitSha1?: string | undefined; readonly url: string },
  sha256: Runtime["sha256"],
): string {
  return file.sha256 ?? file.gitSha1 ?? hexOf(sha256(new TextEncoder().encode(file.url)));
}

/** The name of what is noted of it: what it is the beginning of. */
export function noteOf(partialName: string): string {
  return `${partialName}.of`;
}

/** In the folder: whole files by their SHA-256, what came so far of others, and what models consist of. */
export const FOLDERS = { whole: "blobs", partial: "partial", models: "models" } as const;
