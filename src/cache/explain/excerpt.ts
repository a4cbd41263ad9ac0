/**
 * Short excerpts of requests: enough to see what differs. A prompt may be a megabyte and may be private; neither belongs
 * in a message or a log.
 *
 * @module
 */

/** UTF-16 code units of an excerpt, at most. */
const MAX_EXCERPT = 80;

/** Code units shown before the place in question; were each escaped as six, that place would still be shown. */
const CONTEXT = 12;

/** The beginning of a value's JSON, for a value as `JSON.parse` gives it. */
export function excerptOf(value: unknown): string {
  return cut(beginning(value, MAX_EXCERPT));
}

/** The part of a text that begins shortly before `at`, as JSON. */
export function excerptAround(text: string, at: number): string {
  const start = wholeCharacter(text, Math.max(0, at - CONTEXT));
  return cut((start > 0 ? "…" : "") + JSON.stringify(text.slice(start, start + MAX_EXCERPT)));
}

/** The last place up to `at` that is not inside a surrogate pair. */
export function wholeCharacter(text: string, at: number): number {
  const [before, after] = [text.charCodeAt(at - 1), text.charCodeAt(at)];
  return before >= 0xd800 && before < 0xdc00 && after >= 0xdc00 && after < 0xe000 ? at - 1 : at;
}

/** JSON, left off soon after `room` code units. */
function beginning(value: unknown, room: number): string {
  if (typeof value === "string") return JSON.stringify(value.slice(0, Math.max(0, room)));
  if (typeof value !== "object" || value === null) return String(value);
  if (Array.isArray(value)) return listed("[", value.slice(0, MAX_EXCERPT), beginning, "]", room);
  const members = value as Record<string, unknown>;
  const member = (name: string, left: number): string =>
    `${beginning(name, left)}:${beginning(members[name], left - name.length)}`;
  return listed("{", Object.keys(members), member, "}", room);
}

function listed<T>(
  open: string,
  parts: readonly T[],
  write: (part: T, room: number) => string,
  close: string,
  room: number,
): string {
  let text = open;
  for (const [index, part] of parts.entries()) {
    if (text.length > room) return text;
    text += (index > 0 ? "," : "") + write(part, room - text.length);
  }
  return text + close;
}

function cut(text: string): string {
  return text.length <= MAX_EXCERPT ? text : `${text.slice(0, wholeCharacter(text, MAX_EXCERPT - 1))}…`;
}
