/**
 * A request as people bring it to a command: in a file, or on standard input.
 *
 * @module
 */

import { decodeText, isJsonObject, type JsonObject } from "../cache/json.ts";
import { parseRequest } from "../cache/request/raw_json.ts";
import type { Scope } from "../cache/request/scope.ts";
import { messageOf } from "../runtime/message.ts";
import type { Runtime } from "../runtime/runtime.ts";

/** Who was asked, as flags say it. */
export interface ScopeFlags {
  readonly provider?: string;
  readonly endpoint?: string;
  readonly namespace?: string;
  readonly identity?: string;
}

/** The name of standard input. POSIX.1-2024, XBD 12.2, guideline 13. */
const STANDARD_INPUT = "-";

/**
 * Reads a request.
 *
 * @throws FileError when it cannot be read; TypeError when it is no JSON object, or none that has a key.
 */
export async function readRequest(runtime: Runtime, path: string): Promise<JsonObject> {
  const what = path === STANDARD_INPUT ? "standard input" : path;
  const isTyped = path === STANDARD_INPUT && runtime.terminal.readsFromTerminal();
  if (isTyped) throw new TypeError("Cannot read a request: name a file, or pass it on standard input");
  const bytes = path === STANDARD_INPUT ? await runtime.terminal.readInput() : await runtime.files.read(path);
  try {
    const { body, unkeyable } = parseRequest(decodeText(bytes));
    if (unkeyable !== undefined) throw new TypeError(`it has no key: ${unkeyable}`);
    if (!isJsonObject(body)) throw new TypeError("a request is a JSON object");
    return body;
  } catch (error) {
    throw new TypeError(`Cannot use the request in ${what}: ${messageOf(error)}`, { cause: error });
  }
}

/** Without what nobody said. */
export function scopeOf({ provider, endpoint, namespace, identity }: ScopeFlags): Scope {
  return {
    ...provider !== undefined && { provider },
    ...endpoint !== undefined && { endpoint },
    ...namespace !== undefined && { namespace },
    ...identity !== undefined && { identity },
  };
}
