/**
 * What the AI SDK's models take and give, as JSON and back: dates, bytes, addresses and errors are in it, and all have to
 * come out of the store as they went in.
 *
 * @module
 */

import { isJsonObject, type JsonObject } from "../../cache/json.ts";
import { MAX_DEPTH } from "../../cache/request/canonical.ts";
import { fromBase64, toBase64 } from "../../runtime/base64.ts";
import { hexOf } from "../../runtime/hex.ts";

/** The member that says what an object stands for. */
const TYPE = "$type";

/**
 * A value as JSON. Members that are `undefined` are left out.
 *
 * @throws TypeError for what is none of those, a function for instance.
 */
export function toJson(value: unknown): unknown {
  return written(value, toBase64);
}

/** A value as {@link toJson} got it. */
export function fromJson(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(fromJson);
  if (!isJsonObject(value)) return value;
  switch (value[TYPE]) {
    case "number":
      return Number(value.number);
    case "date":
      return new Date(value.date as string);
    case "bytes":
      return fromBase64(value.bytes as string);
    case "url":
      return new URL(value.url as string);
    case "error":
      return errorOf(mapped(value.error as JsonObject, fromJson));
    case "object":
      return mapped(value.object as JsonObject, fromJson);
    default:
      return mapped(value, fromJson);
  }
}

/**
 * A value as JSON in which bytes stand for their SHA-256: a key does not get longer with what is attached.
 *
 * @throws TypeError as {@link toJson} does, and for what has no canonical JSON: a text that is no Unicode, for instance.
 */
export async function digested(value: unknown): Promise<unknown> {
  const digests = new Map<Uint8Array, Promise<string>>();
  written(value, (bytes) => {
    digests.set(bytes, sha256(bytes));
    return "";
  });
  const known = new Map<Uint8Array, string>();
  for (const [bytes, digest] of digests) known.set(bytes, await digest);
  const json = written(value, (bytes) => `sha256:${known.get(bytes)!}`);
  refuseUnkeyable(json, 0);
  return json;
}

/** A text that was cut in the middle of a character, which providers do take, would fail the call in the cache. */
function refuseUnkeyable(value: unknown, depth: number): void {
  if (depth === MAX_DEPTH) throw new TypeError(`Cannot make a key of a value (nested deeper than ${MAX_DEPTH})`);
  if (typeof value === "string" && !value.isWellFormed()) {
    throw new TypeError("Cannot make a key of a text that is no Unicode (a lone surrogate)");
  }
  if (Array.isArray(value)) { for (const item of value) refuseUnkeyable(item, depth + 1); }
  else if (isJsonObject(value)) {
    for (const [name, member] of Object.entries(value)) {
      refuseUnkeyable(name, depth);
      refuseUnkeyable(member, depth + 1);
    }
  }
}

async function sha256(bytes: Uint8Array): Promise<string> {
  return hexOf(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>)));
}

function written(value: unknown, writeBytes: (bytes: Uint8Array) => string): unknown {
  const write = (value: unknown): unknown => {
    if (typeof value === "string" || typeof value === "boolean" || value === null) return value;
    if (typeof value === "number") return Number.isFinite(value) ? value : { [TYPE]: "number", number: String(value) };
    if (Array.isArray(value)) return value.map((item) => item === undefined ? null : write(item));
    if (value instanceof Date) return { [TYPE]: "date", date: value.toISOString() };
    if (value instanceof Uint8Array) return { [TYPE]: "bytes", bytes: writeBytes(value) };
    if (value instanceof URL) return { [TYPE]: "url", url: value.href };
    if (value instanceof Error) return { [TYPE]: "error", message: value.message, error: write(factsOf(value)) };
    if (!isPlain(value)) {
      throw new TypeError(`Cannot write a value as JSON (plain objects and lists): ${nameOf(value)}`);
    }
    const members = mapped(value, write);
    return TYPE in value ? { [TYPE]: "object", object: members } : members;
  };
  return write(value);
}

function mapped(object: JsonObject, map: (value: unknown) => unknown): JsonObject {
  const members = Object.entries(object).filter(([, value]) => value !== undefined);
  return Object.fromEntries(members.map(([name, value]) => [name, map(value)]));
}

function isPlain(value: unknown): value is JsonObject {
  if (!isJsonObject(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function nameOf(value: unknown): string {
  return typeof value === "object" ? String(value?.constructor?.name) : typeof value;
}

/** What an error says in words and numbers. What it hangs on (a request, a cause) stays behind. */
function factsOf(error: Error): JsonObject {
  const own = Object.entries(error).filter(([, value]) => ["string", "number", "boolean"].includes(typeof value));
  return { name: error.name, message: error.message, ...Object.fromEntries(own) };
}

/**
 * An error with these members. The AI SDK knows its own errors by symbols of their names, not by their classes
 * (`AISDKError.isInstance`), so that `APICallError.isInstance` is true of one that was rebuilt.
 */
export function errorOf({ name, message, ...facts }: JsonObject): Error {
  const error = Object.assign(new Error(String(message)), facts);
  Object.defineProperty(error, "name", { value: String(name), configurable: true, writable: true });
  if (error.name.startsWith("AI_")) {
    for (const marker of ["vercel.ai.error", `vercel.ai.error.${error.name}`]) {
      Object.defineProperty(error, Symbol.for(marker), { value: true });
    }
  }
  return error;
}
