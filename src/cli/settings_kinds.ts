/**
 * What values a setting may have. Each kind is one schema, from which the settings file, flags and variables are checked
 * and `warmcache.schema.json` is made, so that an editor and the program are of one opinion. What can only be seen on the
 * machine itself (whether a variable is set, a folder may be written) is not theirs: that is for `--check`.
 *
 * @module
 */

import * as z from "zod";
import { RESERVED_NAMES, UPSTREAM_NAME, type UpstreamOptions, type UpstreamTable } from "../compose/upstreams.ts";
import { type ApiKeyOptions, KEY_SCOPES } from "../http/auth.ts";
import { isOrigin } from "../http/guard/origins.ts";
import { SERVER_NAME } from "../http/operations/served_by.ts";
import { parseByteSize } from "../runtime/byte_size.ts";
import { parseDuration } from "../runtime/duration.ts";
import type { Milliseconds } from "../runtime/runtime.ts";
import type { KeepAlive } from "../warm/keep_alive.ts";

/** What may be said (`In`, JSON) and what comes of it. */
export type Kind<Out, In = unknown> = z.ZodType<Out, In>;

/** The longest time that may be set, in seconds: timers of 25 days and more ring at once. */
const A_WEEK = 604_800;

/** A time in the pattern's units stays below a week. */
const TIME = "(?:\\d{1,8}ms|\\d{1,5}(?:\\.\\d{1,3})?s|\\d{1,4}(?:\\.\\d{1,3})?m|\\d{1,2}(?:\\.\\d{1,3})?h)";

const A_SIZE = "expected a number of bytes, such as 500000000, 500MB or 2GiB";
const A_KEEP_ALIVE = 'expected seconds, a duration such as "10m", 0 or -1';
const A_FOLDER = "expected a folder, or false for none";
const A_KEY = 'expected a key, or an object such as { "id": "alice", "keyEnvironment": "ALICE_KEY" }';

/** No amount that fits is less than a byte, or more than can be counted exactly. */
const BYTES = new RegExp(
  "^(?=.*[1-9])(?:[1-9]\\d{0,14}(?:\\.\\d{1,3})?\\s*[bB]?" +
    "|(?:\\d{1,12}(?:\\.\\d{1,3})?\\s*[kK]|\\d{1,9}(?:\\.\\d{1,3})?\\s*[mM]" +
    "|\\d{1,6}(?:\\.\\d{1,3})?\\s*[gG]|\\d{1,3}(?:\\.\\d{1,3})?\\s*[tT])[iI]?[bB])$",
);

const KEEP_ALIVE = /^-?(?:\d{1,9}(?:\.\d{1,9})?|(?:\d{1,9}(?:\.\d{1,9})?(?:ms|s|m|h|d|w))+)$/;

/** Text with something in it. */
export const text: Kind<string> = z.string("expected text").regex(/\S/, "expected text that is not empty");

/** Text that may be empty. */
export const anyText: Kind<string> = z.string("expected text");

/** True or false. */
export const yesOrNo: Kind<boolean> = z.boolean("expected true or false");

/** One of some words. */
export function oneOf<W extends string>(words: readonly W[]): Kind<W> {
  return z.enum(words as [W, ...W[]], `expected ${words.join(" or ")}`) as unknown as Kind<W>;
}

/** A whole number. */
export function wholeNumber(least: number, most: number = Number.MAX_SAFE_INTEGER): Kind<number> {
  const upTo = most === Number.MAX_SAFE_INTEGER ? `, ${least} or more` : ` from ${least} to ${most}`;
  const error = `expected a whole number${upTo}`;
  return z.int(error).min(least, error).max(most, error);
}

/** A number above 0. */
export const rate: Kind<number> = z.number("expected a number above 0").positive("expected a number above 0");

/** An amount of memory: a number of bytes, or text such as `500MB` or `2GiB`. Becomes bytes. */
export const byteSize: Kind<number> = z.union(
  [z.int(A_SIZE).min(1, A_SIZE), z.string(A_SIZE).regex(BYTES, A_SIZE)],
  A_SIZE,
).transform((value) => typeof value === "number" ? value : parseByteSize(value)!);

/** A time: a number of seconds, or text such as `500ms`, `30s`, `5m` or `1h`. Becomes milliseconds. */
export function time({ mayBeZero }: { readonly mayBeZero: boolean }): Kind<Milliseconds> {
  const error = `expected a time${mayBeZero ? "" : " above 0"} of a week at most: seconds, or such as 500ms, 30s or 5m`;
  const number = z.number(error).max(A_WEEK, error);
  const pattern = new RegExp(`^${mayBeZero ? "" : "(?=.*[1-9])"}${TIME}$`);
  return z.union(
    [mayBeZero ? number.min(0, error) : number.positive(error), z.string(error).regex(pattern, error)],
    error,
  ).transform((value) => typeof value === "number" ? value * 1000 : parseDuration(value)!);
}

/** For how long a model stays that nobody uses. */
export const keepAlive: Kind<KeepAlive> = z.union(
  [z.number(A_KEEP_ALIVE), z.string(A_KEEP_ALIVE).regex(KEEP_ALIVE, A_KEEP_ALIVE)],
  A_KEEP_ALIVE,
);

/** Several of a kind. */
export function listOf<T>(kind: Kind<T>, of: string): Kind<readonly T[]> {
  return z.array(kind, `expected a list of ${of}`);
}

/** Whether a kind is made by {@link listOf}. */
export function isList(kind: Kind<unknown>): boolean {
  return kind instanceof z.ZodArray;
}

/** A folder, or `false` for none. */
export const folderOrNone: Kind<string | false> = z.union(
  [z.string(A_FOLDER).regex(/\S/, A_FOLDER), z.literal(false, A_FOLDER)],
  A_FOLDER,
);

const AN_ORIGIN = "expected an origin such as https://app.example, without a path, or *";

/** A page's origin, as browsers send it. */
export const origin: Kind<string> = z.string(AN_ORIGIN)
  .regex(/^(?:\*|(?!https?:\/\/[^A-Z]*[A-Z])[a-z][a-z0-9+.-]*:\/\/[^\s/?#@]+)$/, AN_ORIGIN)
  .refine((text) => text === "*" || isOrigin(text), AN_ORIGIN);

const A_HOST = "expected a name such as cache.example, or an address, without a port";

/** What a `Host` header may say, but for the port. */
export const hostName: Kind<string> = z.string(A_HOST)
  .regex(
    /^(?:\[[0-9a-fA-F:.]{2,45}\]|[0-9a-fA-F.]*:[0-9a-fA-F.]*:[0-9a-fA-F:.]*|[A-Za-z0-9._-]{0,252}[A-Za-z0-9_-])$/,
    A_HOST,
  );

/** A word that a header can carry. */
export const serverName: Kind<string> = z.string("expected a name").regex(
  SERVER_NAME,
  'expected 1 to 64 letters, digits, ".", "_", ":" and "-", a letter or digit first',
);

const variableName = z.string("expected the name of a variable").regex(
  /^[A-Za-z_][A-Za-z0-9_]*$/,
  "expected the name of a variable",
);

/** JSON Schema's word for what may be written, but is not shown. */
const SECRET = { writeOnly: true };

const KEY_SOURCES = ["key", "keyEnvironment", "sha256"] as const;

const keyOptions = z.strictObject({
  id: z.string("expected a name").regex(/^[A-Za-z0-9._-]{1,64}$/, 'expected 1 to 64 letters, digits, ".", "_" and "-"')
    .meta({ description: "What it is called; the default is the first 12 digits of its SHA-256" }).exactOptional(),
  key: z.string("expected a key").regex(/\S/, "expected a key that is not empty")
    .meta({ ...SECRET, description: "The key itself" }).exactOptional(),
  keyEnvironment: variableName.meta({ description: "The environment variable that has it" }).exactOptional(),
  sha256: z.string("expected 64 hexadecimal digits").regex(/^[0-9a-fA-F]{64}$/, "expected 64 hexadecimal digits")
    .meta({ description: "The SHA-256 of the key, in hexadecimal" }).exactOptional(),
  scopes: z.array(z.enum(KEY_SCOPES, `expected one of ${KEY_SCOPES.join(", ")}`), "expected a list of scopes")
    .min(1, "expected one scope at least")
    .meta({ description: "What it opens; the default is everything but admin" }).exactOptional(),
  requestsPerMinute: rate.meta({ description: "How many requests a minute it may make" }).exactOptional(),
}).refine(
  (key) => KEY_SOURCES.filter((name) => name in key).length === 1,
  `expected one of ${KEY_SOURCES.join(", ")}`,
).meta({ oneOf: KEY_SOURCES.map((name) => ({ required: [name] })) });

/** A key of the server's. */
export const apiKey: Kind<string | ApiKeyOptions> = z.union(
  [z.string(A_KEY).regex(/\S/, A_KEY).meta({ ...SECRET, description: "The key, or id=key" }), keyOptions],
  A_KEY,
);

const HTTP_URL = "expected an http: or https: URL with neither a credential nor a query";

/** Where a provider is. */
export const upstreamUrl: Kind<string> = z.string(HTTP_URL)
  .regex(/^[hH][tT][tT][pP][sS]?:\/\/[^\s/?#@\\]+(?:\/[^\s?#]*)?$/, HTTP_URL)
  .refine((url) => URL.canParse(url), HTTP_URL)
  .meta({ format: "uri" });

const patience = (description: string) => rate.meta({ description: `${description}, in milliseconds` }).exactOptional();

const CREDENTIALS = ["apiKey", "apiKeyEnvironment"] as const;

const upstream: Kind<UpstreamOptions> = z.strictObject({
  url: upstreamUrl.meta({ description: "Where it is" }),
  apiKey: z.string("expected a credential").regex(/^[\x21-\x7e]+$/, "expected a credential that a header can carry")
    .meta({ ...SECRET, description: "The server's own credential for it, in place of the caller's" }).exactOptional(),
  apiKeyEnvironment: variableName.meta({ description: "The environment variable that has it" }).exactOptional(),
  answerTimeout: patience("How long it may take until an answer begins"),
  idleTimeout: patience("How long it may be silent in the middle of one"),
}, 'expected an object such as { "url": "https://api.example" }').refine(
  (options) => !CREDENTIALS.every((name) => name in options),
  `expected one of ${CREDENTIALS.join(", ")} at most`,
).meta({ not: { required: CREDENTIALS } });

const UPSTREAM_NAMES =
  'expected a name of lower-case letters, digits, ".", "_" and "-" that begins no path of the server\'s own';

/** Providers by name. */
export const upstreams: Kind<UpstreamTable> = z.record(
  z.string().regex(UPSTREAM_NAME, UPSTREAM_NAMES).refine((name) => !RESERVED_NAMES.has(name), UPSTREAM_NAMES)
    .meta({ not: { enum: [...RESERVED_NAMES] } }),
  upstream,
  'expected an object such as { "groq": { "url": "https://api.groq.com/openai" } }',
);
