/**
 * What an answer says, out of the JSON around it, in whatever provider's form.
 *
 * @module
 */

import { isJsonObject, type JsonObject } from "../json.ts";
import { count } from "../../runtime/readable.ts";

/** What of an answer is for people to read: one text for each of its choices; none where nothing is said in words. */
export function answerTexts(answer: unknown): string[] {
  if (!isJsonObject(answer)) return [];
  const { choices, candidates, output, content, data } = answer;
  if (Array.isArray(choices)) return said(choices.map(choiceText));
  if (Array.isArray(candidates)) return said(candidates.map((each) => partsText(child(each, "content").parts)));
  if (Array.isArray(output)) return said([joined(output.map((each) => itemText(each)))]);
  if (Array.isArray(content)) return said([partsText(content)]);
  if (Array.isArray(data)) return said([vectorsText(data)]);
  return [];
}

/** OpenAI's chat completions and completions. */
function choiceText(choice: unknown): string {
  if (!isJsonObject(choice)) return "";
  const { content, refusal, tool_calls } = child(choice, "message");
  const calls = Array.isArray(tool_calls) ? tool_calls.map((call) => callText(child(call, "function"))) : [];
  return joined([
    text(choice.text),
    typeof content === "string" ? content : partsText(content),
    text(refusal),
    ...calls,
  ]);
}

/** Parts of a message: Anthropic's blocks, Gemini's parts, OpenAI's content. */
function partsText(parts: unknown): string {
  return Array.isArray(parts) ? joined(parts.map(itemText)) : "";
}

function itemText(item: unknown): string {
  if (!isJsonObject(item)) return "";
  if (item.type === "tool_use" || item.type === "function_call") return callText(item);
  if (isJsonObject(item.functionCall)) return callText(item.functionCall);
  return joined([
    text(item.text),
    text(item.thinking),
    text(item.refusal),
    partsText(item.content),
    partsText(item.summary),
  ]);
}

function callText({ name, arguments: given, input, args }: JsonObject): string {
  const said = given ?? input ?? args ?? {};
  return `${text(name)}(${typeof said === "string" ? said : JSON.stringify(said)})`;
}

function vectorsText(data: readonly unknown[]): string {
  const vectors = data.map((each) => isJsonObject(each) ? each.embedding : undefined).filter((each) =>
    Array.isArray(each)
  );
  const [first] = vectors;
  if (first === undefined) return "";
  return `${count(vectors.length)} ${vectors.length === 1 ? "vector" : "vectors"} of ${count(first.length)} numbers`;
}

function child(value: unknown, name: string): JsonObject {
  const found = isJsonObject(value) ? value[name] : undefined;
  return isJsonObject(found) ? found : {};
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function joined(texts: readonly string[]): string {
  return texts.filter((each) => each !== "").join("\n");
}

function said(texts: readonly string[]): string[] {
  return texts.filter((each) => each !== "");
}
