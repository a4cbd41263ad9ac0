/**
 * Streams of Anthropic's messages (https://docs.anthropic.com/en/docs/build-with-claude/streaming). A message comes as
 * numbered blocks of content, each begun, written and stopped; why it stopped and what it cost come after them.
 *
 * Events of a type that is not known here are passed over, as the provider asks of clients; they are still in a
 * recording.
 *
 * @module
 */

import { isJsonObject, type JsonObject } from "../json.ts";
import { assemblerOf, type Assembly } from "./assembler.ts";
import { isExact } from "./exact.ts";
import { mergePiece, replaceMembers } from "./merge.ts";
import { piecesOf } from "./pieces.ts";
import type { StreamProtocol } from "./protocol.ts";
import type { SseEvent } from "./sse.ts";

/** The protocol of messages. */
export const messages: StreamProtocol = {
  ending: "event",
  assembler: () => assemblerOf(new MessageAssembly()),
  disassemble: (answer) => new MessageWriter(answer).write(),
};

/** A block that is being written. A tool's input is text until the block stops. */
interface Block {
  readonly content: JsonObject;
  input: string;
  isOpen: boolean;
}

class MessageAssembly implements Assembly {
  readonly #blocks = new Map<number, Block>();
  #message: JsonObject | undefined;
  #hasStopped = false;

  get isComplete(): boolean {
    return this.#hasStopped;
  }

  add(event: JsonObject, type: string | undefined): void {
    if (this.#hasStopped) return;
    switch (type) {
      case undefined:
        return refuse("an event has no type");
      case "message_start":
        return this.#start(event);
      case "content_block_start":
        return this.#startBlock(event);
      case "content_block_delta":
        return this.#write(this.#openBlock(event), event.delta);
      case "content_block_stop":
        return stopBlock(this.#openBlock(event));
      case "message_delta":
        return this.#update(event);
      case "message_stop":
        return this.#stop();
    }
  }

  end(): void {
    if (!this.#hasStopped) refuse("it ended before the message stopped");
  }

  answer(): JsonObject {
    const inOrder = [...this.#blocks].toSorted(([one], [other]) => one - other);
    return { ...this.#message, content: inOrder.map(([, { content }]) => content) };
  }

  #start({ message }: JsonObject): void {
    if (this.#message !== undefined || !isJsonObject(message)) return refuse("a message does not start once");
    this.#message = { ...message };
  }

  #startBlock({ index, content_block: content }: JsonObject): void {
    if (this.#message === undefined || !isJsonObject(content) || !Number.isSafeInteger(index)) {
      return refuse("a block has no message, no content or no index");
    }
    if (this.#blocks.has(index as number)) return refuse(`block ${index} starts twice`);
    this.#blocks.set(index as number, { content, input: "", isOpen: true });
  }

  #openBlock({ index }: JsonObject): Block {
    const block = this.#blocks.get(index as number);
    return block?.isOpen ? block : refuse(`block ${index} is not open`);
  }

  #write(block: Block, delta: unknown): void {
    if (!isJsonObject(delta)) return refuse("a delta is no object");
    const { type, ...piece } = delta;
    const { content } = block;
    switch (type) {
      case "input_json_delta":
        if (typeof piece.partial_json !== "string") return refuse("a piece of a tool's input is no text");
        block.input += piece.partial_json;
        return;
      case "citations_delta":
        return mergePiece(content, { citations: [piece.citation] });
      case "signature_delta":
        return replaceMembers(content, piece);
      default:
        return mergePiece(content, piece);
    }
  }

  #update({ type: _, delta, usage, ...rest }: JsonObject): void {
    if (this.#message === undefined) return refuse("a message changes before it starts");
    const { usage: before } = this.#message;
    replaceMembers(this.#message, isJsonObject(delta) ? { ...rest, ...delta } : rest);
    if (!isJsonObject(usage)) return;
    // Counts are totals so far, and those that the end does not repeat stand.
    const total = isJsonObject(before) ? { ...before } : {};
    replaceMembers(total, usage);
    this.#message.usage = total;
  }

  #stop(): void {
    if (typeof this.#message?.stop_reason !== "string") return refuse("it ended without a stop_reason");
    if ([...this.#blocks.values()].some(({ isOpen }) => isOpen)) return refuse("it ended before a block did");
    this.#hasStopped = true;
  }
}

function stopBlock(block: Block): void {
  block.isOpen = false;
  if (block.input === "") return;
  const input: unknown = parseInput(block.input);
  if (!isExact(input)) return refuse("a tool's input has an integer beyond 2^53 - 1");
  block.content.input = input;
}

function parseInput(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return refuse("a tool's input is no JSON");
  }
}

function refuse(why: string): never {
  throw new TypeError(`Cannot put a stream together: ${why}`);
}

class MessageWriter {
  readonly #message: JsonObject;
  readonly #events: SseEvent[] = [];

  constructor(message: JsonObject) {
    this.#message = message;
  }

  write(): SseEvent[] {
    const { content, usage, ...members } = this.#message;
    if (!Array.isArray(content) || !content.every(isJsonObject)) {
      throw new TypeError("Cannot make a stream of a message (its content has to be a list of blocks): it is not");
    }
    const ending = Object.entries(members).filter(([name]) => name.startsWith("stop_"));
    const unknown = Object.fromEntries(ending.map(([name]) => [name, null]));
    const bill = isJsonObject(usage) ? usage : undefined;
    const counted = bill && "output_tokens" in bill;
    const begun = bill && { usage: { ...bill, ...(counted && { output_tokens: 0 }) } };
    this.#event("message_start", { message: { ...members, content: [], ...unknown, ...begun } });
    for (const [index, block] of content.entries()) this.#block(block, index);
    this.#event("message_delta", {
      delta: Object.fromEntries(ending),
      ...(bill && { usage: counted ? { output_tokens: bill.output_tokens } : {} }),
    });
    this.#event("message_stop", {});
    return this.#events;
  }

  #block(block: JsonObject, index: number): void {
    const written = deltasOf(block);
    this.#event("content_block_start", { index, content_block: { ...block, ...written.begun } });
    for (const delta of written.deltas) this.#event("content_block_delta", { index, delta });
    this.#event("content_block_stop", { index });
  }

  #event(type: string, members: JsonObject): void {
    this.#events.push({ event: type, data: JSON.stringify({ type, ...members }) });
  }
}

/** What a block's written members are at its start, and the deltas that bring them. Other members come at the start. */
function deltasOf(block: JsonObject): { begun: JsonObject; deltas: JsonObject[] } {
  const { type, text, thinking, signature, citations, input } = block;
  const pieces = (of: string, member: string, whole: string): JsonObject[] =>
    piecesOf(whole).map((piece) => ({ type: of, [member]: piece }));
  if (type === "text" && typeof text === "string") {
    const cited = Array.isArray(citations) ? citations : [];
    return {
      begun: { text: "", ...(Array.isArray(citations) && { citations: [] }) },
      deltas: [
        ...pieces("text_delta", "text", text),
        ...cited.map((citation) => ({ type: "citations_delta", citation })),
      ],
    };
  }
  if (type === "thinking" && typeof thinking === "string") {
    const isSigned = typeof signature === "string";
    return {
      begun: { thinking: "", ...(isSigned && { signature: "" }) },
      deltas: [
        ...pieces("thinking_delta", "thinking", thinking),
        ...(isSigned ? [{ type: "signature_delta", signature }] : []),
      ],
    };
  }
  if (input === undefined) return { begun: {}, deltas: [] };
  if (!isExact(input)) {
    throw new TypeError(
      "Cannot make a stream of a message (its integers have to be below 2^53): a tool's input is not",
    );
  }
  return { begun: { input: {} }, deltas: pieces("input_json_delta", "partial_json", JSON.stringify(input)) };
}
