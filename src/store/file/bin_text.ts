/**
 * A bin as the text of its file: JSON that people read, `git` compares and merges, and any language can parse. Names
 * come in one order, two spaces indent, a line feed ends it, so that the same answers make the same bytes.
 *
 * ```text
 * format     1
 * model      the model that was asked
 * key        the request's key, 64 hexadecimal digits
 * namespace, provider, endpoint, identity, tags     as the store's contract has them
 * sketch     32 hexadecimal digits
 * checksum   of all above and the request
 * request    the request's body
 * samples    the answers, the first first: times and durations in milliseconds, money in millionths of a US dollar,
 *            each with a checksum of its own and the answer
 * ```
 *
 * Bodies are shown as {@link ./shown.ts} says. A checksum is the XXH64 of the body's bytes, as 16 hexadecimal digits,
 * seeded with the XXH64 of a JSON array, in UTF-8: `["request", key, model, namespace, provider, endpoint, identity,
 * sketch, tags]`, or `["sample", key, model]` and an answer's fields in the order of the file. So white space and line
 * ends, which `git` may change, do no harm; a value that was changed is noticed, as is an answer in another's file.
 *
 * A file in which `git` has left conflicts is two files ({@link ./conflict.ts}): the answers of one, then those that only
 * the other has.
 *
 * @module
 */

import type { Checksum } from "../../codec/checksum.ts";
import { hexOf } from "../../runtime/hex.ts";
import { CacheError } from "../error.ts";
import type { EntryFields, RequestRecord } from "../store.ts";
import type { Answer, Bin, Contents, Question, Sample } from "./bin.ts";
import { answersOf, RUIN } from "./bin.ts";
import { sidesOf } from "./conflict.ts";
import { show, unshow } from "./shown.ts";

/** The format that is written, and the newest that can be read. */
export const FORMAT = 1;

/** The fields of an answer in the order in which they are written. */
const FIELDS: readonly (keyof EntryFields)[] = [
  "created",
  "expires",
  "outcome",
  "modelAsked",
  "modelAnswered",
  "fingerprint",
  "promptTokens",
  "completionTokens",
  "costMicrodollars",
  "latency",
  "mediaType",
];

const encoder = new TextEncoder();
/** Passes over the mark that some editors put before UTF-8. */
const decoder = new TextDecoder("utf-8", { fatal: true });

/** Kept, since a put to a request writes all its answers anew. */
const answerTexts = new WeakMap<Answer, string>();

/** An answer as it is written in its bin's file. */
export function writeAnswer(bin: Pick<Bin, "model" | "key">, answer: Answer, checksum: Checksum): string {
  const known = answerTexts.get(answer);
  if (known !== undefined) return known;
  const { fields, body } = answer;
  const document = {
    ...Object.fromEntries(FIELDS.map((name) => [name, fields[name]])),
    checksum: sampleChecksum(bin, fields, body, checksum),
    answer: show(body),
  };
  const text = JSON.stringify(document, null, 2).replaceAll("\n", "\n    ");
  answerTexts.set(answer, text);
  return text;
}

/** The bytes of a bin's file. */
export function writeBin(bin: Bin, question: Question, checksum: Checksum): Uint8Array {
  const { model, key } = bin;
  const { record, tags } = question;
  const { namespace, provider, endpoint, identity, body } = record;
  const asked = { model, key, namespace, provider, endpoint, identity, tags, sketch: hexOf(record.sketch) };
  const document = {
    format: FORMAT,
    ...asked,
    checksum: questionChecksum(asked, body, checksum),
    request: show(body),
  };
  const head = JSON.stringify(document, null, 2).slice(0, -"\n}".length);
  const answers = answersOf(bin).map((answer) => writeAnswer(bin, answer, checksum));
  return encoder.encode(`${head},\n  "samples": [\n    ${answers.join(",\n    ")}\n  ]\n}\n`);
}

/**
 * What the bytes of a file at `path` hold.
 *
 * @throws CacheError `newer_schema` when its format is newer than this program.
 */
export function readBin(bytes: Uint8Array, path: string, checksum: Checksum): Contents {
  let documents: readonly WrittenBin[];
  try {
    documents = documentsIn(decoder.decode(bytes));
  } catch {
    return RUIN;
  }
  for (const document of documents) refuseNewer(document?.format, path);
  const [first] = documents;
  if (!documents.every((document) => isBin(document, first!))) return RUIN;
  const { model, key } = first!;
  const question = once(() => joinQuestions(documents.map((document) => readQuestion(document, checksum))));
  const samples = joinSamples(documents).map((sample) => sampleOf(sample as WrittenSample, { model, key }, checksum));
  return { bin: { model, key, question, samples }, isRuin: false };
}

/** One, or the two sides of a conflict. */
function documentsIn(text: string): WrittenBin[] {
  try {
    return [JSON.parse(text)];
  } catch (error) {
    const sides = sidesOf(text);
    if (!sides) throw error;
    return sides.map((side) => JSON.parse(side));
  }
}

/** Whether it has a bin's shape, and is about what another one is about. */
function isBin(document: WrittenBin | null, other: WrittenBin): boolean {
  return document?.format === FORMAT && Array.isArray(document.samples) && typeof document.model === "string" &&
    typeof document.key === "string" && document.model === other.model && document.key === other.key;
}

function joinSamples(documents: readonly WrittenBin[]): readonly unknown[] {
  const [first, ...others] = documents.map(({ samples }) => samples);
  if (others.length === 0) return first!;
  const known = new Set(first!.map((sample) => JSON.stringify(sample)));
  return [...first!, ...others.flat().filter((sample) => !known.has(JSON.stringify(sample)))];
}

/** The first one that is whole, with the tags of all. */
function joinQuestions(questions: readonly (Question | undefined)[]): Question | undefined {
  const whole = questions.filter((question) => question !== undefined);
  return whole[0] && { record: whole[0].record, tags: [...new Set(whole.flatMap(({ tags }) => tags))] };
}

/**
 * Refuses what a newer version of this program has written.
 *
 * @throws CacheError `newer_schema`
 */
export function refuseNewer(format: unknown, path: string): void {
  if (!Number.isInteger(format) || (format as number) <= FORMAT) return;
  const reason = `a newer version of this program wrote it (format ${format}; this one knows ${FORMAT})`;
  throw new CacheError("newer_schema", `Cannot use ${path}: ${reason}; update this program, or use another directory`);
}

/** As much of a file as was looked at so far. */
interface WrittenBin extends Asked {
  readonly format: unknown;
  readonly checksum: unknown;
  readonly request: unknown;
  readonly samples: readonly unknown[];
}

/** What is said of a request besides its body. */
interface Asked extends Omit<RequestRecord, "key" | "body" | "sketch"> {
  readonly model: string;
  readonly key: string;
  readonly tags: readonly string[];
  readonly sketch: string;
}

type WrittenSample = EntryFields & { readonly checksum: unknown; readonly answer: unknown };

function readQuestion(asked: WrittenBin, checksum: Checksum): Question | undefined {
  try {
    const { key, namespace, provider, endpoint, identity, tags, sketch, request } = asked;
    const body = unshow(request);
    if (questionChecksum(asked, body, checksum) !== asked.checksum) return undefined;
    const record = { key: bytesOf(key), namespace, provider, endpoint, identity, body, sketch: bytesOf(sketch) };
    return { record, tags };
  } catch {
    return undefined;
  }
}

/** In a function of its own: else each answer would keep the whole document. */
function sampleOf(written: WrittenSample, place: Pick<Bin, "model" | "key">, checksum: Checksum): Sample {
  return once(() => readSample(written, place, checksum));
}

/** Reads something when it is first called for, and lets go of what it was read from. Of a hundred, one may be wanted. */
function once<T>(read: () => T): () => T {
  let pending: (() => T) | undefined = read;
  let result: T;
  return () => {
    if (pending) [result, pending] = [pending(), undefined];
    return result;
  };
}

function readSample(
  written: WrittenSample,
  place: Pick<Bin, "model" | "key">,
  checksum: Checksum,
): Answer | undefined {
  try {
    const body = unshow(written.answer);
    if (sampleChecksum(place, written, body, checksum) !== written.checksum) return undefined;
    const fields = Object.fromEntries(FIELDS.map((name) => [name, written[name]])) as unknown as EntryFields;
    return { fields, body };
  } catch {
    return undefined;
  }
}

function questionChecksum(asked: Asked, body: Uint8Array, checksum: Checksum): string {
  const { key, model, namespace, provider, endpoint, identity, sketch, tags } = asked;
  return seeded(["request", key, model, namespace, provider, endpoint, identity, sketch, tags], body, checksum);
}

function sampleChecksum(
  { key, model }: Pick<Bin, "model" | "key">,
  fields: EntryFields,
  body: Uint8Array,
  checksum: Checksum,
): string {
  return seeded(["sample", key, model, ...FIELDS.map((name) => fields[name])], body, checksum);
}

function seeded(head: readonly unknown[], body: Uint8Array, checksum: Checksum): string {
  // JSON would make null of it.
  if (head.includes(undefined)) throw new TypeError("Cannot compute the checksum of a bin: a value is missing");
  const seed = checksum(encoder.encode(JSON.stringify(head)));
  return checksum(body, seed).toString(16).padStart(16, "0");
}

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (digits) => Number.parseInt(digits, 16));
}
