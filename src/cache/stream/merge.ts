/**
 * How the pieces of a streamed answer become one. Providers add members that nobody here has heard of, and those must
 * not be lost, so the rule goes by what a value is, not by what it is called.
 *
 * @module
 */

import { isJsonObject, type JsonObject } from "../json.ts";

// Texts that name a thing and are no piece of it: said again, they are the same, not more.
const NAMES: ReadonlySet<string> = new Set(["id", "type", "role", "name", "format", "status", "object"]);

/**
 * Adds a piece: texts are appended, and so are lists, but that items with an `index` are merged with the item of that
 * index; objects are merged; of anything else the last one stands. `null` changes nothing that is there.
 *
 * @throws TypeError when pieces of one member are not of one kind.
 */
export function mergePiece(whole: JsonObject, piece: JsonObject): void {
  for (const name of Object.keys(piece)) setMember(whole, name, merged(name, memberOf(whole, name), piece[name]));
}

/** Takes over members that every chunk says anew: the last one stands. `null` and `""` change nothing that is there. */
export function replaceMembers(whole: JsonObject, said: JsonObject): void {
  for (const name of Object.keys(said)) {
    const value = said[name];
    const before = memberOf(whole, name);
    const isSaid = value !== null && value !== "" && value !== before;
    if (isSaid || before === undefined) setMember(whole, name, value);
  }
}

function merged(name: string, before: unknown, piece: unknown): unknown {
  if (piece === null) return before ?? null;
  if (Array.isArray(piece)) return appended(name, before ?? [], piece);
  if (before === undefined || before === null) return piece;
  if (Array.isArray(before) || typeof before !== typeof piece) throw notOfOneKind(name);
  if (typeof piece === "string") return NAMES.has(name) ? piece || before : `${before}${piece}`;
  if (isJsonObject(before)) mergePiece(before, piece as JsonObject);
  return isJsonObject(before) ? before : piece;
}

function appended(name: string, list: unknown, items: readonly unknown[]): unknown[] {
  if (!Array.isArray(list)) throw notOfOneKind(name);
  for (const item of items) {
    const begun = isJsonObject(item) && Number.isSafeInteger(item.index) &&
      list.findLast((each) => isJsonObject(each) && continues(each, item));
    if (begun) mergePiece(begun, item);
    else list.push(item);
  }
  return list;
}

/** Whether a piece goes on with an item; of several it is the last. Some number the items of each type apart. */
function continues(item: JsonObject, piece: JsonObject): boolean {
  return item.index === piece.index && !differ(item.type, piece.type) && !differ(item.id, piece.id);
}

/** Whether two names are given, and are not the same. */
export function differ(one: unknown, other: unknown): boolean {
  return typeof one === "string" && typeof other === "string" && one !== "" && other !== "" && one !== other;
}

function notOfOneKind(name: string): TypeError {
  return new TypeError(`Cannot put a stream together: the pieces of ${JSON.stringify(name)} are not of one kind`);
}

function memberOf(object: JsonObject, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

/** An assignment to `__proto__` would change what the object is instead of what it holds. */
function setMember(object: JsonObject, name: string, value: unknown): void {
  if (name !== "__proto__") object[name] = value;
  else Object.defineProperty(object, name, { value, writable: true, enumerable: true, configurable: true });
}
