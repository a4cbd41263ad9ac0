/**
 * How a model's database is called.
 *
 * `<slug>-<hash>.sqlite`, so that people can tell the files apart and no two models share one. The hash is the first
 * eight hexadecimal digits of the SHA-256 of the model's name in UTF-8. The slug is for people only:
 *
 * 1. letters A to Z become a to z;
 * 2. every run of anything but `a`-`z`, `0`-`9`, `.` and `_` becomes one `-`;
 * 3. it is cut to 64 characters;
 * 4. `.` and `-` are taken off both ends;
 * 5. where nothing is left it is `model`; where the request names no model at all it is `_none`.
 *
 * @module
 */

import { hexOf } from "../../runtime/hex.ts";
import type { Runtime } from "../../runtime/runtime.ts";

const SLUG_LENGTH = 64;
const NAME = /^[a-z0-9_](?:[a-z0-9._-]{0,62}[a-z0-9_])?-[0-9a-f]{8}\.sqlite$/;

/** The file name of a model's database. */
export function databaseName(model: string, sha256: Runtime["sha256"]): string {
  const digest = sha256(new TextEncoder().encode(model));
  const hash = hexOf(digest.subarray(0, 4));
  return `${slug(model)}-${hash}.sqlite`;
}

/** Whether a file is called as {@link databaseName} would call it. */
export function isDatabaseName(name: string): boolean {
  return NAME.test(name);
}

function slug(model: string): string {
  if (model === "") return "_none";
  const safe = model.replace(/[A-Z]/g, (letter) => letter.toLowerCase()).replace(/[^a-z0-9._]+/g, "-");
  return safe.slice(0, SLUG_LENGTH).replace(/^[.-]+|[.-]+$/g, "") || "model";
}
