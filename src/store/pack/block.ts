/**
 * A block: the lines of one request and all its answers, which stay together wherever packs are sorted, merged and cut
 * into shards. And the rule by which two blocks of one request become one.
 *
 * The rule is commutative, associative and idempotent, so that packs give the same bytes in whatever order they are
 * merged. Answers in equal lists stay in their order. Of unequal lists, each answer is kept as often as the list has it
 * that has it most often, and they are put in order by when they were stored, then by the digest of what is known of them.
 * Tags are united. Where what is kept of the request itself differs, the text that comes first is kept.
 *
 * @module
 */

import { hexOf } from "../../runtime/hex.ts";
import type { Runtime } from "../../runtime/runtime.ts";
import { fileNameOf } from "../names.ts";
import type { RequestRecord } from "../store.ts";
import { broken } from "./failure.ts";
import { MOST_SHARD_BYTES } from "./format.ts";
import { hasItsKey } from "./key_check.ts";
import type { Answer, Sha256 } from "./line.ts";
import { contentOf, readAnswer, readAsked, writeAnswer, writeAsked } from "./line.ts";

/** The lines of a request and its answers, and what they are sorted by. */
export interface Block {
  /** What the model has in place of its name where files are named. */
  readonly folder: string;
  /** In hexadecimal. */
  readonly key: string;
  readonly model: string;
  /** How many answers. */
  readonly samples: number;
  /** Bytes of these as they are returned. */
  readonly answerBytes: number;
  /** The lines in UTF-8, each with its line feed. */
  readonly text: Uint8Array;
}

/** What a block says. */
export interface Content {
  readonly model: string;
  readonly record: RequestRecord;
  readonly tags: readonly string[];
  readonly answers: readonly Answer[];
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Writes a block.
 *
 * @throws RangeError when it is larger than a shard can be.
 */
export function writeBlock(
  { model, record, tags, answers }: Content,
  sha256: Sha256,
  folder: string = fileNameOf(model, sha256),
): Block {
  const key = hexOf(record.key);
  const answerBytes = bytesOf(answers);
  const asked = { model, record, tags: [...new Set(tags)].toSorted(byUnits), samples: answers.length, answerBytes };
  const lines = [
    writeAsked(asked, sha256),
    ...answers.map((answer, sample) => writeAnswer(key, sample, answer, sha256)),
  ];
  const text = encoder.encode(lines.join("\n") + "\n");
  if (text.byteLength > MOST_SHARD_BYTES) {
    throw new RangeError(
      `Cannot pack the answers to request ${key} (${MOST_SHARD_BYTES} bytes at most): ${text.byteLength} bytes`,
    );
  }
  return { folder, key, model, samples: answers.length, answerBytes, text };
}

/** How a block is to be read. */
export interface Reading {
  readonly sha256: Sha256;
  /** Whether the key may be another than `docs/key.md` gives the request. */
  readonly foreignKeys: boolean;
  /** Where it is, for messages. */
  readonly what: string;
}

/** What a block says, every line of it verified. */
export function readBlock(text: Uint8Array, { sha256, foreignKeys, what }: Reading): Content {
  const lines = linesOf(text, what);
  const { model, record, tags, samples, answerBytes } = attempt(`${what}, line 1`, () => readAsked(lines[0]!, sha256));
  const key = hexOf(record.key);
  if (!foreignKeys && !hasItsKey(record, sha256)) throw forged(what, key);
  if (lines.length !== samples + 1) {
    throw broken(what, `request ${key} is to have ${samples} answers, of which ${lines.length - 1} are there`);
  }
  const answers = lines.slice(1).map((line, sample) =>
    attempt(`${what}, line ${sample + 2}`, () => readAnswer(line, key, sample, sha256))
  );
  if (bytesOf(answers) !== answerBytes) {
    throw broken(what, `the answers to request ${key} are to have ${answerBytes} bytes, and have ${bytesOf(answers)}`);
  }
  return { model, record, tags, answers };
}

function bytesOf(answers: readonly Answer[]): number {
  return answers.reduce((sum, { body }) => sum + body.byteLength, 0);
}

/** The lines of a block. */
export function linesOf(text: Uint8Array, what: string): string[] {
  return attempt(what, () => decoder.decode(text)).split("\n").slice(0, -1);
}

/** A row that was made to be taken for the answer to another question. */
export function forged(what: string, key: string): Error {
  return broken(
    what,
    `request ${key} has not the key that its content gives it; if another program chose its keys, say foreignKeys`,
  );
}

/** The order of blocks: by folder, key, model. */
export function compareBlocks(left: Block, right: Block): number {
  return byUnits(left.folder, right.folder) || byUnits(left.key, right.key) || byUnits(left.model, right.model);
}

/** Two blocks of one request as one, by the rule above. */
export function mergeBlocks(left: Block, right: Block, sha256: Runtime["sha256"]): Block {
  if (isSame(left.text, right.text)) return left;
  const reading = { sha256, foreignKeys: true, what: `request ${left.key}` };
  const [mine, others] = [readBlock(left.text, reading), readBlock(right.text, reading)];
  const bare = ({ model, record }: Content): string =>
    writeAsked({ model, record, tags: [], samples: 0, answerBytes: 0 }, sha256);
  const { model, record } = byUnits(bare(mine), bare(others)) <= 0 ? mine : others;
  const tags = [...mine.tags, ...others.tags];
  return writeBlock({ model, record, tags, answers: mergeAnswers(mine, others, sha256) }, sha256, left.folder);
}

function mergeAnswers({ answers: mine }: Content, { answers: others }: Content, sha256: Sha256): readonly Answer[] {
  const known = (answers: readonly Answer[]) =>
    answers.map((answer) => ({ answer, digest: contentOf(answer, sha256) }));
  const [left, right] = [known(mine), known(others)];
  const isEqual = left.length === right.length && left.every(({ digest }, at) => digest === right[at]!.digest);
  if (isEqual) return mine;
  const counts = new Map<string, number>();
  for (const { digest } of left) counts.set(digest, (counts.get(digest) ?? 0) + 1);
  const added = right.filter(({ digest }) => {
    const count = counts.get(digest) ?? 0;
    counts.set(digest, count - 1);
    return count <= 0;
  });
  return [...left, ...added]
    .toSorted((one, other) =>
      one.answer.fields.created - other.answer.fields.created || byUnits(one.digest, other.digest)
    )
    .map(({ answer }) => answer);
}

/** Whether two arrays hold the same bytes. */
function isSame(left: Uint8Array, right: Uint8Array): boolean {
  if (left.byteLength !== right.byteLength) return false;
  for (let index = 0; index < left.length; index++) if (left[index] !== right[index]) return false;
  return true;
}

/** By UTF-16 code units, as RFC 8785 sorts names. */
function byUnits(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

function attempt<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw broken(what, error instanceof Error ? error.message : String(error), error);
  }
}
