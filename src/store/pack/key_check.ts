/**
 * Whether a request's key is the one that `docs/key.md` gives it (version 1). A pack comes from elsewhere: a row under a
 * key that is not its request's would be served as the answer to another question.
 *
 * @module
 */

import { hexOf } from "../../runtime/hex.ts";
import type { Runtime } from "../../runtime/runtime.ts";
import type { RequestRecord } from "../store.ts";

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();
const CONTENT = /^sha256:[0-9a-f]{64}$/;
/** Of which of these many places a file stood is found by trying. */
const MOST_PLACES = 10;

/** Whether `record.key` is the key of what `record` says was asked. */
export function hasItsKey(record: RequestRecord, sha256: Runtime["sha256"]): boolean {
  const expected = hexOf(record.key);
  try {
    const text = decoder.decode(record.body);
    // Whatever parses is one value: it cannot reach into the members that follow it.
    const body: unknown = JSON.parse(text);
    const isKeyOf = (files: readonly string[]): boolean =>
      hexOf(sha256(encoder.encode(envelope(record, text, files)))) === expected;
    if (isKeyOf([])) return true;
    return text.includes('"sha256:') && someOf(placesOf(body, "", []).toSorted()).some(isKeyOf);
  } catch {
    return false;
  }
}

/** RFC 8785: the members in order; the body is canonical, or the key is not its. */
function envelope({ namespace, provider, endpoint, identity }: RequestRecord, body: string, files: readonly string[]) {
  const named = files.length > 0 ? { endpoint, files, identity } : { endpoint, identity };
  return `{"body":${body},${JSON.stringify({ ...named, namespace, provider, v: 1 }).slice(1)}`;
}

/** Where the content of files may stand, as JSON Pointers: somebody may as well have written that very object. */
function placesOf(value: unknown, pointer: string, places: string[]): string[] {
  if (typeof value !== "object" || value === null) return places;
  const members = Object.entries(value);
  const isFile = members.length === 1 && members[0]![0] === "file" && CONTENT.test(String(members[0]![1]));
  if (isFile) places.push(pointer);
  else for (const [name, inner] of members) placesOf(inner, `${pointer}/${escaped(name)}`, places);
  return places;
}

function escaped(name: string): string {
  return name.replaceAll("~", "~0").replaceAll("/", "~1");
}

/** All of the places first, as nearly always, then each choice of some. */
function someOf(places: readonly string[]): string[][] {
  if (places.length > MOST_PLACES) return [[...places]];
  const choices = Array.from({ length: 2 ** places.length - 1 }, (_, index) => 2 ** places.length - 1 - index);
  return choices.map((choice) => places.filter((_, index) => (choice >> index & 1) === 1));
}
