/**
 * What a request asks, in short, by which people know it again among thousands.
 *
 * @module
 */

import { isJsonObject } from "../json.ts";

/** UTF-16 code units. */
const EXCERPT = 160;

/** What is asked last, in short, by which people know a request again. */
export function lastWords(body: Readonly<Record<string, unknown>>): string {
  const conversation = body.messages ?? body.contents ?? body.input ?? body.prompt;
  const last = Array.isArray(conversation) && isJsonObject(conversation.at(-1)) ? conversation.at(-1) : conversation;
  const said = isJsonObject(last) ? last.content ?? last.parts ?? last.text ?? last : last ?? body;
  const text = typeof said === "string" ? said : textOf(said) ?? JSON.stringify(said);
  const line = text.slice(0, 4 * EXCERPT).replace(/\s+/g, " ").trim();
  return line.length > EXCERPT ? `${line.slice(0, EXCERPT - 1)}…` : line;
}

function textOf(parts: unknown): string | undefined {
  if (!Array.isArray(parts)) return undefined;
  const texts = parts.map((part) => isJsonObject(part) ? part.text : part).filter((text) => typeof text === "string");
  return texts.length === 0 ? undefined : texts.join(" ");
}
