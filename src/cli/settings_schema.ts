/**
 * The JSON Schema (draft 2020-12) of the settings file: for editors, which complete and check by it, and for whoever
 * tells an unknown name from a known one, and a secret from what may be shown.
 *
 * @module
 */

import * as z from "zod";
import { type Setting, SETTINGS } from "./settings_table.ts";

/** As much of JSON Schema as is made here. */
export interface JsonSchema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: JsonSchema | false;
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  /** It may be written, and is not shown. */
  readonly writeOnly?: boolean;
  readonly [word: string]: unknown;
}

/** Of a settings file. */
export function settingsSchema(): JsonSchema {
  const properties: Record<string, JsonSchema> = {
    $schema: { type: "string", description: "Where this schema is, for editors" },
  };
  for (const setting of SETTINGS.filter(({ inFile }) => inFile)) {
    const [name, inner] = setting.name.split(".") as [string, string?];
    if (inner === undefined) properties[name] = schemaOf(setting);
    else {
      const before = properties[name]?.properties ?? {};
      properties[name] = object("How much the server takes on", { ...before, [inner]: schemaOf(setting) });
    }
  }
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Settings of the warmcache server",
    ...object("warmcache.json; docs/settings.md says what each means", properties),
    // Not JSON Schema's own: https://code.visualstudio.com/docs/languages/json#_comments-in-json
    allowComments: true,
    allowTrailingCommas: true,
  };
}

function object(description: string, properties: Record<string, JsonSchema>): JsonSchema {
  return { description, type: "object", properties, additionalProperties: false };
}

/** Of one setting. */
export function schemaOf({ kind, help, fallback, otherwise }: Setting): JsonSchema {
  // What is said, not what becomes of it.
  const { $schema: _, ...schema } = z.toJSONSchema(kind, { io: "input" });
  const preset = otherwise === undefined ? { default: fallback } : {};
  const sentence = `${help[0]!.toUpperCase()}${help.slice(1)}`;
  const description = otherwise === undefined ? sentence : `${sentence} (default: ${otherwise})`;
  return { description, ...schema, ...preset } as JsonSchema;
}

/** Schemas of what stands at a path; several where it may have several forms, none where nothing is known there. */
export function schemasAt(schema: JsonSchema, path: readonly PropertyKey[]): readonly JsonSchema[] {
  let here = formsOf(schema);
  for (const step of path) here = here.flatMap((form) => stepInto(form, step)).flatMap(formsOf);
  return here;
}

function formsOf(schema: JsonSchema): readonly JsonSchema[] {
  return schema.anyOf ?? [schema];
}

function stepInto({ properties, additionalProperties, items }: JsonSchema, step: PropertyKey): JsonSchema[] {
  if (typeof step === "number") return items === undefined ? [] : [items];
  const named = properties !== undefined && Object.hasOwn(properties, step)
    ? properties[String(step)]
    : additionalProperties;
  return typeof named === "object" ? [named] : [];
}
