/**
 * How what a model has in a directory is called, whatever a store keeps it in.
 *
 * `<slug>-<hash>`, so that people can tell models apart and no two share a place. The hash is the first eight
 * hexadecimal digits of the SHA-256 of the model's name in UTF-8. The slug is for people only:
 *
 * 1. letters A to Z become a to z;
 * 2. every run of anything but `a`-`z`, `0`-`9`, `.` and `_` becomes one `-`;
 * 3. it is cut to 64 characters;
 * 4. `.` and `-` are taken off both ends;
 * 5. where nothing is left it is `model`; where the request names no model at all it is `_none`.
 *
 * @module
 */

import { hexOf } from "../runtime/hex.ts";
import type { Runtime } from "../runtime/runtime.ts";

const SLUG_LENGTH = 64;
const NAME = /^[a-z0-9_](?:[a-z0-9._-]{0,62}[a-z0-9_])?-[0-9a-f]{8}$/;

/** What a model's files are called, less what says which store's they are. */
export function fileNameOf(model: string, sha256: Runtime["sha256"]): string {
  const digest = sha256(new TextEncoder().encode(model));
  return `${slug(model)}-${hexOf(digest.subarray(0, 4))}`;
}

/** Whether a name is as {@link fileNameOf} would make it. */
export function isFileName(name: string): boolean {
  return NAME.test(name);
}

function slug(model: string): string {
  if (model === "") return "_none";
  const safe = model.replace(/[A-Z]/g, (letter) => letter.toLowerCase()).replace(/[^a-z0-9._]+/g, "-");
  return safe.slice(0, SLUG_LENGTH).replace(/^[.-]+|[.-]+$/g, "") || "model";
}
