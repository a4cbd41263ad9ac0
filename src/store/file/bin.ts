/**
 * A bin: one request and its answers, as they lie in one file. What a lookup finds in it, what a put makes of it, and
 * what a removal leaves of it; none of it touches the disk.
 *
 * @module
 */

import type { Milliseconds } from "../../runtime/runtime.ts";
import { CacheError } from "../error.ts";
import type { EntryFields, Found, Placement, RequestRecord, Selection, StoredEntry, Want } from "../store.ts";

/** An answer whose checksum was right. */
export interface Answer {
  readonly fields: EntryFields;
  /** The bin's own: not to be changed. */
  readonly body: Uint8Array;
}

/** An answer in a bin; `undefined` when its checksum is wrong. Read when first called for. */
export type Sample = () => Answer | undefined;

/** What was asked, and the words by which its answers are removed together. */
export interface Question {
  readonly record: RequestRecord;
  readonly tags: readonly string[];
}

/** One request to one model, and its answers. */
export interface Bin {
  readonly model: string;
  /** The request's key in hexadecimal. */
  readonly key: string;
  /** What was asked; `undefined` when its checksum is wrong, which its answers do not suffer from. */
  readonly question: () => Question | undefined;
  readonly samples: readonly Sample[];
}

/** What is at a bin's place. */
export interface Contents {
  /** `undefined` when nothing is there, or nothing that can be read as a bin. */
  readonly bin: Bin | undefined;
  /** Something is there that cannot be read as a bin. */
  readonly isRuin: boolean;
}

/** Nothing is there. */
export const NOTHING: Contents = { bin: undefined, isRuin: false };

/** Something is there, but no bin. */
export const RUIN: Contents = { bin: undefined, isRuin: true };

/** What a lookup finds where nothing is. */
export const MISS: Found = { entries: [], stale: false, expired: false, corrupt: false };

/** What a lookup finds where nothing can be read. */
export const RUINED: Found = { ...MISS, corrupt: true };

/** What is to be put into a bin. */
export interface BinPut extends Pick<Bin, "model" | "key"> {
  readonly asked: Question;
  readonly added: readonly Answer[];
  readonly placement: Placement;
}

/** What came of removing from a bin. */
export interface Remainder {
  /** What is to be there; the same object where nothing fits. */
  readonly contents: Contents;
  /** What was removed. */
  readonly removed: readonly Answer[];
}

/** The answers in a bin that are whole. */
export function answersOf(bin: Bin | undefined): Answer[] {
  return bin?.samples.map((sample) => sample()).filter((answer) => answer !== undefined) ?? [];
}

/** Bytes of an answer as they are shown in the file, less what indents and escapes them. */
export function storedBytesOf({ body }: Answer): number {
  return body.length;
}

/** What a bin has for a want. */
export function findIn({ samples }: Bin, { samples: most, grace = 0 }: Want, now: Milliseconds): Found {
  const fresh: Answer[] = [];
  const late: Answer[] = [];
  let [expired, corrupt] = [false, false];
  for (const sample of samples) {
    if (fresh.length >= most) break;
    const answer = sample();
    if (!answer) corrupt = true;
    else if (!isExpired(answer, now)) fresh.push(answer);
    else if (!isExpired(answer, now - grace)) late.push(answer);
    else expired = true;
  }
  return { entries: [...fresh, ...late].slice(0, most).map(toEntry), stale: false, expired, corrupt };
}

/**
 * A bin after a put. What has expired or is broken has given way. With `isAgain`, the put was made once, and nothing is
 * added that is still there.
 *
 * @throws CacheError `foreign_file` when it is another model's bin.
 */
export function withAdded(there: Contents, put: BinPut, now: Milliseconds, isAgain: boolean): Contents {
  const { model, key, asked, added, placement } = put;
  if (there.bin && there.bin.model !== model) throw foreignTo(model, there.bin.model);
  const old = answersOf(there.bin).filter((answer) => !isExpired(answer, now));
  const isThere = (answer: Answer): boolean => old.some((other) => isSame(answer, other));
  if (isAgain && placement === "append" && there.bin && added.every(isThere)) return there;
  const answers = placement === "replace_all"
    ? added
    : placement === "replace"
    ? [...added, ...old.slice(added.length)]
    : [...old, ...added];
  if (answers.length === 0) return NOTHING;
  const question = { ...asked, tags: [...new Set([...there.bin?.question()?.tags ?? [], ...asked.tags])] };
  return { bin: { model, key, question: () => question, samples: answers.map(toSample) }, isRuin: false };
}

/** Two models' names have the same digest: what one has is not the other's. */
export function foreignTo(model: string, owner: string): CacheError {
  const reason = `their place is that of ${JSON.stringify(owner)}; use another directory`;
  return new CacheError("foreign_file", `Cannot store answers of ${JSON.stringify(model)}: ${reason}`);
}

/** A bin without what expired before some moment. */
export function withoutExpired(there: Contents, before: Milliseconds): Contents {
  return without(there, (answer) => isExpired(answer, before)).contents;
}

/** A bin without what fits a selection. */
export function withoutSelected(there: Contents, selection: Selection): Remainder {
  const { outcome, createdBefore } = selection;
  if (takesWholeRequests(selection)) return { contents: NOTHING, removed: answersOf(there.bin) };
  if (!fitsQuestion(there.bin, selection)) return { contents: there, removed: [] };
  return without(there, ({ fields }) =>
    (outcome === undefined || outcome === fields.outcome) &&
    (createdBefore === undefined || fields.created < createdBefore));
}

/** Whether a selection takes all there is of a request, whatever it was, even where that cannot be read. */
export function takesWholeRequests({ namespace, tag, outcome, createdBefore }: Selection): boolean {
  return [namespace, tag, outcome, createdBefore].every((value) => value === undefined);
}

/** Whether something there is not as it was written. */
export function isDamaged({ bin, isRuin }: Contents): boolean {
  return isRuin || (bin !== undefined && (!bin.question() || bin.samples.some((sample) => !sample())));
}

function without(there: Contents, goes: (answer: Answer) => boolean): Remainder {
  const { bin } = there;
  const answers = answersOf(bin);
  const removed = answers.filter(goes);
  // Without knowing what was asked, a bin cannot be written anew: the next put does that.
  if (!bin?.question() || removed.length === 0) return { contents: there, removed: [] };
  const samples = answers.filter((answer) => !goes(answer)).map(toSample);
  return { contents: samples.length > 0 ? { bin: { ...bin, samples }, isRuin: false } : NOTHING, removed };
}

function fitsQuestion(bin: Bin | undefined, { namespace, tag }: Selection): boolean {
  const question = bin?.question();
  if (!question) return false;
  return (namespace === undefined || namespace === question.record.namespace) &&
    (tag === undefined || question.tags.includes(tag));
}

function isExpired({ fields: { expires } }: Answer, now: Milliseconds): boolean {
  return expires !== null && expires <= now;
}

/** When each was made, and how long that took, is among what is compared. */
function isSame(one: Answer, other: Answer): boolean {
  const names = Object.keys(one.fields) as (keyof EntryFields)[];
  return names.every((name) => one.fields[name] === other.fields[name]) && one.body.length === other.body.length &&
    one.body.every((byte, index) => byte === other.body[index]);
}

function toSample(answer: Answer): Sample {
  return () => answer;
}

function toEntry(answer: Answer, sample: number): StoredEntry {
  const { fields, body } = answer;
  // A copy: the caller may change what it gets, and what is remembered of the bin must not change with it.
  const bytes = (): Uint8Array => body.slice();
  return { ...fields, sample, storedBytes: storedBytesOf(answer), bytes, read: (use) => use(body) };
}
