/**
 * Streams of chat completions
 * (https://platform.openai.com/docs/api-reference/chat-streaming), as OpenAI and those who follow it send them. A choice
 * comes as `delta`s of its message.
 *
 * @module
 */

import { isJsonObject, type JsonObject } from "../json.ts";
import { assemblerOf } from "./assembler.ts";
import { ChoiceAssembly, type ChoiceForm, choicesOf, ChunkWriter, emptyLists, trimUsage } from "./choices.ts";
import { differ, mergePiece, replaceMembers } from "./merge.ts";
import { piecesOf, tokenPiecesOf } from "./pieces.ts";
import type { StreamProtocol } from "./protocol.ts";

const ANSWER = "chat.completion";
const CHUNK = "chat.completion.chunk";

// Texts that a model writes as it goes, in the order in which it does.
const WRITTEN = ["reasoning_content", "reasoning", "content", "refusal"];

const FORM: ChoiceForm = {
  add(choice, { index: _, delta, message, logprobs, ...rest }) {
    // Some repeat the message so far beside each delta; some send it whole, and no delta.
    const { tool_calls: calls, ...pieces } = [delta, message].find(isJsonObject) ?? {};
    const whole = (choice.message ??= {}) as JsonObject;
    mergePiece(whole, pieces);
    if (calls !== undefined) addToolCalls(whole, calls);
    if (logprobs !== undefined) mergePiece(choice, { logprobs });
    replaceMembers(choice, rest);
  },
  finish({ message, ...choice }) {
    // A stream need not say what an answer always has.
    const whole: JsonObject = { role: "assistant", content: null, ...message as JsonObject };
    if (Array.isArray(whole.tool_calls)) whole.tool_calls = finishToolCalls(whole.tool_calls);
    return { ...choice, message: whole };
  },
};

/** The protocol of chat completions. */
export const chatCompletions: StreamProtocol = {
  ending: "mark",
  assembler(expected) {
    const choices = new ChoiceAssembly(FORM, expected);
    return assemblerOf({
      add: (chunk) => choices.add(chunk),
      end: () => choices.end(),
      get isComplete() {
        return choices.isComplete;
      },
      answer() {
        const answer = choices.answer();
        return "object" in answer ? { ...answer, object: ANSWER } : answer;
      },
    });
  },
  disassemble(answer, wishes) {
    const choices = choicesOf(answer);
    const { choices: _, ...head } = answer;
    const writer = new ChunkWriter("object" in head ? { ...head, object: CHUNK } : head, wishes);
    for (const [index, choice] of choices.entries()) writeChoice(writer, choice, index);
    return writer.end();
  },
  trim: trimUsage,
};

function writeChoice(writer: ChunkWriter, choice: JsonObject, position: number): void {
  const { index = position, message, logprobs, ...rest } = choice;
  const whole = isJsonObject(message) ? message : {};
  const empty = isJsonObject(logprobs) ? emptyLists(logprobs) : logprobs;
  const write = (delta: JsonObject, known: unknown = null): void =>
    writer.write({ index, delta, ...(logprobs !== undefined && { logprobs: known }), finish_reason: null });

  write(openingOf(whole), empty);
  for (const name of WRITTEN) {
    const list = isJsonObject(logprobs) ? logprobs[name] : undefined;
    const tokens = Array.isArray(list) ? list : [];
    const text = isWritten(whole[name]) ? whole[name] : "";
    for (const piece of tokenPiecesOf(text, tokens.map(tokenOf))) {
      const known = tokens.slice(piece.from, piece.to);
      write(
        piece.text === "" ? {} : { [name]: piece.text },
        known.length > 0 ? { ...empty as JsonObject, [name]: known } : undefined,
      );
    }
  }
  for (const delta of toolCallDeltas(whole.tool_calls)) write(delta);
  for (const delta of functionCallDeltas(whole.function_call)) write(delta);
  writer.write({ index, delta: {}, ...(logprobs !== undefined && { logprobs: null }), ...rest });
}

function isWritten(text: unknown): text is string {
  return typeof text === "string" && text !== "";
}

function tokenOf(entry: unknown): unknown {
  return isJsonObject(entry) ? entry.token : undefined;
}

/** The message before its first word, with all that is not written word by word. */
function openingOf(message: JsonObject): JsonObject {
  const { tool_calls: calls, function_call: called, ...members } = message;
  const said = Object.entries(members).filter(([name, value]) => !WRITTEN.includes(name) || !isWritten(value));
  return {
    ...Object.fromEntries(said),
    ...(isWritten(message.content) && { content: "" }),
    ...(!isList(calls) && calls !== undefined && { tool_calls: calls }),
    ...(!isJsonObject(called) && called !== undefined && { function_call: called }),
  };
}

function isList(calls: unknown): calls is JsonObject[] {
  return Array.isArray(calls) && calls.length > 0;
}

// Where a call keeps what the model writes for it, by the kind of tool.
const INPUTS = [["function", "arguments"], ["custom", "input"]] as const;

function toolCallDeltas(calls: unknown): JsonObject[] {
  if (!isList(calls)) return [];
  return calls.flatMap((call, index) => {
    const [kind, input] = INPUTS.find(([kind]) => isJsonObject(call[kind])) ?? INPUTS[0];
    return callDeltas(call[kind], input).map((tool, at) => ({
      tool_calls: [at === 0 ? { ...call, index, ...(tool && { [kind]: tool }) } : { index, [kind]: tool }],
    }));
  });
}

function functionCallDeltas(call: unknown): JsonObject[] {
  return isJsonObject(call) ? callDeltas(call, "arguments").map((piece) => ({ function_call: piece })) : [];
}

/** The call without what was written for it, then that in pieces. What is no text comes at once. */
function callDeltas(called: unknown, input: string): (JsonObject | undefined)[] {
  if (!isJsonObject(called)) return [undefined];
  const written = called[input];
  if (typeof written !== "string") return [called];
  return [{ ...called, [input]: "" }, ...piecesOf(written).map((piece) => ({ [input]: piece }))];
}

function addToolCalls(message: JsonObject, pieces: unknown): void {
  if (pieces === null) {
    message.tool_calls ??= null;
    return;
  }
  if (!Array.isArray(pieces) || !pieces.every(isJsonObject)) {
    throw new TypeError("Cannot put a stream together: the tool calls of a chunk are no list of objects");
  }
  const calls = (message.tool_calls ??= []) as JsonObject[];
  for (const piece of pieces) {
    const begun = begunCall(calls, piece);
    if (begun === undefined) calls.push(piece);
    else mergePiece(begun, piece);
  }
}

/**
 * The call that a piece goes on with, if it does not begin one. Some providers give each call the same index, some give
 * none, and some give each piece an id of its own; but only a call's beginning names the tool under another id.
 */
function begunCall(calls: readonly JsonObject[], piece: JsonObject): JsonObject | undefined {
  const names = INPUTS.some(([kind]) => isJsonObject(piece[kind]) && isWritten(piece[kind].name));
  if (Number.isSafeInteger(piece.index)) {
    const call = calls.findLast(({ index }) => index === piece.index);
    return call && names && differ(call.id, piece.id) ? undefined : call;
  }
  if (isWritten(piece.id)) return calls.findLast(({ id }) => id === piece.id);
  return names ? undefined : calls.at(-1);
}

/** Calls in their order, without the number that only a stream needs. */
function finishToolCalls(calls: readonly JsonObject[]): JsonObject[] {
  const areNumbered = calls.every(({ index }) => Number.isSafeInteger(index));
  const inOrder = areNumbered ? calls.toSorted((one, other) => (one.index as number) - (other.index as number)) : calls;
  return inOrder.map(({ index: _, ...call }) => call);
}
