/**
 * A model's files, read as promised: what is loaded is what was hashed.
 *
 * @module
 */

import { hexOf } from "../../runtime/hex.ts";
import type { Runtime } from "../../runtime/runtime.ts";
import type { ContentFile } from "../backend.ts";
import { ModelError } from "../error.ts";

/** A parsed JSON object. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Whether a parsed value is an object, and no list. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * The bytes of a file whose content was promised.
 *
 * @throws ModelError `identity_changed` when the file holds something else by now.
 */
async function readContent(runtime: Runtime, file: ContentFile): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = await runtime.files.read(file.path);
  const sha256 = hexOf(runtime.sha256(bytes));
  if (sha256 !== file.sha256) {
    throw new ModelError("identity_changed", `${file.path} changed since it was hashed: SHA-256 is ${sha256} now`);
  }
  return bytes;
}

/**
 * The text of a file whose content was promised.
 *
 * @throws ModelError `identity_changed`
 */
export async function readText(runtime: Runtime, file: ContentFile): Promise<string> {
  return new TextDecoder().decode(await readContent(runtime, file));
}

/**
 * The JSON object in a file whose content was promised.
 *
 * @throws ModelError `identity_changed`; Error when it is not a JSON object.
 */
export async function readJson(runtime: Runtime, file: ContentFile): Promise<JsonObject> {
  const text = await readText(runtime, file);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`${file.path} is not JSON: ${(error as Error).message}`, { cause: error });
  }
  if (!isObject(value)) throw new Error(`${file.path} holds no JSON object: ${JSON.stringify(value).slice(0, 100)}`);
  return value;
}

/**
 * What `make` makes of a file's content. An error of its names the file.
 *
 * @throws what `make` throws, with the file's path before it.
 */
export function madeOf<T>({ path }: ContentFile, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (error instanceof ModelError) throw error;
    throw new Error(`${path}: ${(error as Error).message}`, { cause: error });
  }
}
