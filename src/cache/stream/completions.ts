/**
 * Streams of completions (https://platform.openai.com/docs/api-reference/completions). A choice comes as pieces of its
 * `text`, each with the log-probabilities of its tokens as lists of one length.
 *
 * @module
 */

import { isJsonObject, type JsonObject } from "../json.ts";
import { assemblerOf } from "./assembler.ts";
import { ChoiceAssembly, type ChoiceForm, choicesOf, ChunkWriter, cutLists, emptyLists, trimUsage } from "./choices.ts";
import { mergePiece, replaceMembers } from "./merge.ts";
import { tokenPiecesOf } from "./pieces.ts";
import type { StreamProtocol } from "./protocol.ts";

const FORM: ChoiceForm = {
  add(choice, { index: _, text, logprobs, ...rest }) {
    if (text !== undefined) mergePiece(choice, { text });
    if (isJsonObject(logprobs) && isJsonObject(choice.logprobs)) addLists(choice.logprobs, logprobs);
    else if (logprobs !== undefined) mergePiece(choice, { logprobs });
    replaceMembers(choice, rest);
  },
  finish: (choice) => choice,
};

/** The protocol of completions. */
export const completions: StreamProtocol = {
  ending: "mark",
  assembler: (expected) => assemblerOf(new ChoiceAssembly(FORM, expected)),
  disassemble(answer, wishes) {
    const choices = choicesOf(answer);
    const { choices: _, ...head } = answer;
    const writer = new ChunkWriter(head, wishes);
    for (const [index, choice] of choices.entries()) writeChoice(writer, choice, index);
    return writer.end();
  },
  trim: trimUsage,
};

/** Lists are appended as they are: an item is named after a token, which may be "index", and goes on with none before. */
function addLists(lists: JsonObject, more: JsonObject): void {
  for (const [name, values] of Object.entries(more)) {
    const before = lists[name];
    if (Array.isArray(before) && Array.isArray(values)) { for (const value of values) before.push(value); }
    else mergePiece(lists, { [name]: values });
  }
}

function writeChoice(writer: ChunkWriter, choice: JsonObject, position: number): void {
  const { index = position, text, logprobs, ...rest } = choice;
  const known = isJsonObject(logprobs) ? logprobs : undefined;
  const empty = known ? emptyLists(known) : logprobs;
  const tokens = Array.isArray(known?.tokens) ? known.tokens : [];
  for (const piece of tokenPiecesOf(typeof text === "string" ? text : "", tokens)) {
    const cut = known && cutLists(known, piece.from, piece.to);
    const lists = logprobs === undefined ? {} : { logprobs: cut ?? null };
    writer.write({ index, text: piece.text, ...lists, finish_reason: null });
  }
  writer.write({ index, text: "", ...(logprobs !== undefined && { logprobs: empty }), ...rest });
}
