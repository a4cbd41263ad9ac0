/**
 * Looks at all of one list: its label, its request, and every answer, by the checksums that lookups go by.
 *
 * @module
 */

import { bytesOfHex } from "../../runtime/hex.ts";
import { messageOf } from "../../runtime/message.ts";
import { CacheError } from "../error.ts";
import type { RowTools } from "../sqlite/entry_row.ts";
import type { Findings, VerifyOptions } from "../verify.ts";
import { readAnswer, readLabel, readRequestElement } from "./values.ts";

/** A list as it was read; without elements where its key holds something else. */
export interface ReadList {
  readonly key: string;
  /** The request's key, in hexadecimal, that is part of its name. */
  readonly hex: string;
  readonly elements: readonly Uint8Array[] | undefined;
}

/** Adds what is found to `findings`. */
export function verifyList(
  { key, hex, elements }: ReadList,
  { model, deep = false, checkKey }: VerifyOptions,
  tools: RowTools,
  findings: Findings,
): void {
  const id = bytesOfHex(hex);
  const label = elements?.[0] && readLabel(elements[0]);
  if (!label) {
    const what = `${key} is not a request and its answers: remove it with DEL`;
    return findings.add({ kind: "corrupt", model: model ?? null, key: hex, sample: null, what });
  }
  // Two models' names may have the same digest.
  if (model !== undefined && label.model !== model) return;
  const of = findings.of(label.model);
  of.requests++;
  const request = elements[1] && readRequestElement(elements[1].slice(), label.sketch, tools);
  if (!request) of.add("corrupt", `${key}: the checksum of its request does not hold`, id);
  const wrong = request && checkKey?.(request);
  if (wrong !== undefined) of.add("key", wrong, id);
  for (const [sample, element] of elements.slice(2).entries()) {
    of.entries++;
    const answer = readAnswer(element.slice(), label.model, id, tools);
    if (answer === "corrupt") of.add("corrupt", `${key}: the checksum of an answer does not hold`, id, sample);
    else if (answer === "stale") of.add("stale", `${key}: an answer of another version`, id, sample);
    else if (deep) {
      try {
        answer.read(() => {});
      } catch (error) {
        if (!(error instanceof CacheError)) throw error;
        of.add("undecodable", messageOf(error), id, sample);
      }
    }
  }
  if (label.entries !== elements.length - 2) {
    of.add("index", `${key}: its label counts ${label.entries} answers, it has ${elements.length - 2}`, id);
  }
  if (elements.length <= 2) of.add("orphan", "a request without an answer", id);
}
