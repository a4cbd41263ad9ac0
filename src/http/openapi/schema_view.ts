/**
 * A schema for people: its fields, each with what it may be and what it means. What has a name of its own is linked to,
 * so that nothing is shown twice.
 *
 * @module
 */

import { html } from "hono/html";
import type { OpenApiDocument } from "./document.ts";

/** What a template may be given. */
export type Piece = ReturnType<typeof html> | string | readonly Piece[];

/** As much of a JSON schema as is shown. */
export interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly format?: string;
  readonly description?: string;
  readonly enum?: readonly unknown[];
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly prefixItems?: readonly Schema[];
  readonly additionalProperties?: boolean | Schema;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
}

const REF = "#/components/schemas/";

/** What a reference is to. */
export function resolve(schema: Schema, { components }: OpenApiDocument): Schema {
  if (schema.$ref === undefined) return schema;
  return (components?.schemas?.[schema.$ref.slice(REF.length)] ?? {}) as Schema;
}

/** The fields of an object, or what else it is. */
export function schemaFields(schema: Schema, document: OpenApiDocument): Piece {
  const variants = schema.oneOf ?? [];
  if (variants.length > 0) {
    return html`<dl class="fields">${
      variants.map((each) =>
        html`
          <div>
            <dt>${nameOf(each)}</dt>
            <dd>${schemaFields(resolve(each, document), document)}</dd>
          </div>
        `
      )
    }</dl>`;
  }
  const { properties, required = [] } = schema;
  if (properties === undefined) {
    return html`<p><span class="type">${typeOf(schema)}</span> ${prose(schema.description ?? "")}</p>`;
  }
  return html`<dl class="fields">${
    requiredFirst(properties, required).map(([name, field]) => {
      const inside = insideOf(field);
      return html`
        <div>
          <dt>${name}${required.includes(name) ? html`<b title="required">*</b>` : ""}</dt>
          <dd>
        <span class="type">${typeOf(field)}${limitsOf(field)}</span>${field.description === undefined
          ? ""
          : html`<span class="says">${prose(field.description)}</span>`}${inside === undefined
          ? ""
          : html`<details><summary>fields</summary>${schemaFields(inside, document)}</details>`}</dd>
        </div>
      `;
    })
  }</dl>`;
}

function requiredFirst(properties: NonNullable<Schema["properties"]>, required: readonly string[]): [string, Schema][] {
  const isRequired = ([name]: [string, Schema]): boolean => required.includes(name);
  const fields = Object.entries(properties);
  return [...fields.filter(isRequired), ...fields.filter((field) => !isRequired(field))];
}

/** What a value may be, in a few words; names are links. */
export function typeOf(schema: Schema): Piece {
  const { $ref, type, format, items, prefixItems, additionalProperties } = schema;
  if ($ref !== undefined) {
    const name = $ref.slice(REF.length);
    return html`<a href="/docs#schema-${name}">${name}</a>`;
  }
  const variants = schema.anyOf ?? schema.oneOf;
  if (variants !== undefined) return variants.map((each, at) => html`${at === 0 ? "" : " or "}${typeOf(each)}`);
  if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  const types = type === undefined ? [] : typeof type === "string" ? [type] : type;
  const nullable = types.includes("null") && types.length > 1 ? " or null" : "";
  const main = types.find((each) => each !== "null") ?? types[0] ?? "anything";
  if (main === "array") {
    if (prefixItems !== undefined) return html`${prefixItems.length} values${nullable}`;
    return html`list of ${items === undefined ? "anything" : typeOf(items)}${nullable}`;
  }
  if (main === "object" && schema.properties === undefined && typeof additionalProperties === "object") {
    return html`object of ${typeOf(additionalProperties)}${nullable}`;
  }
  return `${format ?? main}${nullable}`;
}

/** Words in backquotes are code. */
export function prose(text: string): Piece {
  return text.split(/(`[^`]+`)/).map((part) => /^`.+`$/.test(part) ? html`<code>${part.slice(1, -1)}</code>` : part);
}

/** An object without a name that a field has, or has a list of. */
function insideOf(schema: Schema): Schema | undefined {
  const { properties, items, additionalProperties } = schema;
  if (properties !== undefined) return schema;
  if (items?.properties !== undefined) return items;
  const values = typeof additionalProperties === "object" ? additionalProperties : undefined;
  return values?.properties === undefined ? undefined : values;
}

function limitsOf({ minimum, maximum, exclusiveMinimum, default: otherwise }: Schema): string {
  const isHuge = (limit: number | undefined): boolean => limit === undefined || Math.abs(limit) >= 2 ** 53 - 1;
  const limits = [
    ...isHuge(minimum) ? [] : [`≥ ${minimum}`],
    ...isHuge(exclusiveMinimum) ? [] : [`> ${exclusiveMinimum}`],
    ...isHuge(maximum) ? [] : [`≤ ${maximum}`],
    ...otherwise === undefined ? [] : [`default ${JSON.stringify(otherwise)}`],
  ];
  return limits.length === 0 ? "" : `, ${limits.join(", ")}`;
}

/** Which of several a variant is. */
function nameOf({ properties = {} }: Schema): string {
  return (properties["type"]?.enum ?? []).join(", ");
}
