/**
 * Settings as they may be shown: without keys and credentials.
 *
 * @module
 */

import { namedKey } from "../http/auth.ts";
import { schemaOf, schemasAt } from "./settings_schema.ts";
import type { Setting } from "./settings_table.ts";

const HIDDEN = "…";

/** What was said of a setting, `…` in place of what is secret. The id of a key stays. */
export function masked(setting: Setting, said: unknown): unknown {
  const schema = schemaOf(setting);
  const mask = (value: unknown, path: readonly PropertyKey[]): unknown => {
    if (Array.isArray(value)) return value.map((each, index) => mask(each, [...path, index]));
    if (typeof value === "object" && value !== null) {
      return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, mask(inner, [...path, name])]));
    }
    const forms = schemasAt(schema, path);
    const isOpen = forms.length > 0 && !forms.some(({ writeOnly }) => writeOnly === true);
    // Keys that come as text have no schema of their own.
    if (isOpen && !(setting.isSecret && path.length === 1)) return value;
    const { id } = path.length === 1 ? namedKey(String(value)) : {};
    return id === undefined ? HIDDEN : `${id}=${HIDDEN}`;
  };
  return mask(said, []);
}
