/**
 * The sketch of a request: 16 bytes that resemble each other as the requests do, so that the nearest of 100,000 stored
 * requests are found without reading one of them. It decides what an explanation shows, never what is answered.
 *
 * A SimHash (Moses Charikar, "Similarity Estimation Techniques from Rounding Algorithms", STOC 2002): every feature of
 * the request votes for or against each of 128 bits by its hash. The requests of one program share prompts, tools and
 * parameters and differ in what is asked last; in one election for all, that would be outvoted. So there are three, each
 * of which counts for the same however many vote.
 *
 * @module
 */

import { valueAsSent } from "../request/canonical.ts";
import { addUnit, decide, Election, featureOf, NO_FEATURE } from "./election.ts";
import { isJsonObject } from "../json.ts";
import type { KeyedRequest } from "../request/key.ts";

/** What counts for how much: what is asked last, all other texts, and what is no text. Chosen with `bench/explain.ts`. */
const SHARES = { asked: 6, texts: 4, terms: 3 } as const;

/** Where the known contracts keep the conversation, or the one text. */
const CONVERSATIONS: readonly string[] = ["messages", "input", "contents", "prompt"];

/** A text of more UTF-16 code units is read at its two ends. */
const MAX_TEXT = 8192;
/** A list of more elements is read at its two ends. */
const MAX_LIST = 512;
/** A string of one word, up to this length, is a name, an id or a date: one feature. */
const MAX_TERM = 40;
/** A longer text weighs no more than one of this length: a document must not drown the question beside it. */
const FULL_TEXT = 400;
/** Words of a text that are remembered; a power of 2. */
const SEEN = 512;
/** Scripts from here on write words without blanks between them. */
const FIRST_IDEOGRAPH = 0x2e80;
const HAS_WORDS = /[\s\u2e80-\uffff]/;

/**
 * The sketch of a request whose body, less what the key ignores, has canonical JSON: 16 bytes, the same on every runtime
 * and whatever the order of names. Requests are as far apart as their sketches have bits that differ.
 */
export function sketchOf({ body, ...scope }: KeyedRequest): Uint8Array {
  const [asked, texts, terms] = [new Election(), new Election(), new Election()];
  for (const name of ["namespace", "provider", "endpoint", "identity"] as const) {
    terms.vote(featureOf(featureOf(NO_FEATURE, name), String(scope[name])));
  }
  for (const name of Object.keys(body)) {
    const path = featureOf(NO_FEATURE, `$.${name}`);
    const [earlier, last] = turns(name, valueAsSent(body[name], name));
    poll(earlier, path, texts, terms);
    poll(last, path, asked, asked);
  }
  return decide([[asked, SHARES.asked], [texts, SHARES.texts], [terms, SHARES.terms]]);
}

/** A member of the body without, and with nothing but, what is asked last. */
function turns(name: string, value: unknown): [earlier: unknown, last: unknown] {
  if (!CONVERSATIONS.includes(name)) return [value, undefined];
  if (Array.isArray(value) && isJsonObject(value.at(-1))) return [value.slice(0, -1), value.slice(-1)];
  return [undefined, value];
}

/** Has all there is in a value vote. Indexes are no part of a path: an inserted element must not move the others. */
function poll(value: unknown, path: number, texts: Election, terms: Election): void {
  if (typeof value === "string") {
    if (value.length > MAX_TERM || HAS_WORDS.test(value)) pollText(value, texts);
    else terms.vote(featureOf(path, value));
  } else if (Array.isArray(value)) {
    const inner = featureOf(path, "[]");
    for (let index = 0; index < value.length; index++) {
      if (index === MAX_LIST / 2 && value.length > MAX_LIST) index = value.length - MAX_LIST / 2;
      poll(valueAsSent(value[index], String(index)), inner, texts, terms);
    }
  } else if (isJsonObject(value)) {
    for (const name of Object.keys(value)) poll(valueAsSent(value[name], name), featureOf(path, name), texts, terms);
  } else if (value === null || typeof value === "number" || typeof value === "boolean") {
    terms.vote(featureOf(path, String(value)));
  }
}

/** Every word votes, once: what is frequent says little. In scripts without blanks every pair of characters is a word. */
function pollText(text: string, election: Election): void {
  const read = text.length <= MAX_TEXT ? text : `${text.slice(0, MAX_TEXT / 2)} ${text.slice(-MAX_TEXT / 2)}`;
  const weight = Math.sqrt(FULL_TEXT / Math.max(FULL_TEXT, text.length));
  // Remembers the last word of each slot: enough to know the frequent ones, and of one size for any text.
  const seen = new Int32Array(SEEN);
  const vote = (word: number): void => {
    if (seen[word & (SEEN - 1)] === word) return;
    seen[word & (SEEN - 1)] = word;
    election.vote(word, weight);
  };
  let [word, before] = [NO_FEATURE, 0];
  for (let at = 0; at <= read.length; at++) {
    const unit = at < read.length ? read.charCodeAt(at) : 0;
    if (isOfWord(unit)) {
      word = addUnit(word, unit);
      continue;
    }
    if (word !== NO_FEATURE) vote(word);
    if (unit >= FIRST_IDEOGRAPH) vote(addUnit(addUnit(NO_FEATURE, before), unit));
    [word, before] = [NO_FEATURE, unit];
  }
}

/** Digits, letters of ASCII, and whatever else is written in words. */
function isOfWord(unit: number): boolean {
  if (unit < 0x80) return (unit > 96 && unit < 123) || (unit > 47 && unit < 58) || (unit > 64 && unit < 91);
  return unit >= 0xc0 && unit < FIRST_IDEOGRAPH;
}
