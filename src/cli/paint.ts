/**
 * Colours, for whoever sees them.
 *
 * @module
 */

import type { Runtime, TerminalStream } from "../runtime/runtime.ts";

/** Graphic renditions of ECMA-48, section 8.3.117. */
const STYLES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, blue: 34, cyan: 36 } as const;

/** How something is painted. */
export type Style = keyof typeof STYLES;

/** Paints a text, or leaves it as it is. */
export type Paint = (text: string, style: Style | undefined) => string;

/** Paints. */
export const inColour: Paint = (text, style) =>
  style === undefined || text === "" ? text : `\x1b[${STYLES[style]}m${text}\x1b[0m`;

/** Leaves all as it is. */
export const plain: Paint = (text) => text;

/**
 * What paints for a stream: colours on a terminal that knows some. `NO_COLOR` (https://no-color.org) and, behind it,
 * `FORCE_COLOR` (https://force-color.org) win over what it is.
 */
export function paintFor(stream: TerminalStream, { environment }: Pick<Runtime, "environment">): Paint {
  if (environment("NO_COLOR")) return plain;
  const forced = environment("FORCE_COLOR");
  if (forced !== undefined && forced !== "") return ["0", "false"].includes(forced) ? plain : inColour;
  return stream.isTerminal() && environment("TERM") !== "dumb" ? inColour : plain;
}
