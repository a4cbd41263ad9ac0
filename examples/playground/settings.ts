/** What the page's server tells it: which models there are, and whether another server is behind it. */

import type { Side } from "./question.ts";

/** Told by `serve.ts` at {@link SETTINGS_PATH}. */
export interface Settings {
  /** The models' names, as they are asked for. */
  readonly names: Readonly<Record<Side, string>>;
  /** The server that answers at `/v1`, for people; absent where there is none. */
  readonly server?: string | undefined;
}

/** Where they are. */
export const SETTINGS_PATH = "settings.json";

/** Asks for them. */
export async function readSettings(): Promise<Settings> {
  const response = await fetch(SETTINGS_PATH);
  if (!response.ok) throw new Error(`Cannot read the page's settings: ${response.status}`);
  return await response.json();
}
