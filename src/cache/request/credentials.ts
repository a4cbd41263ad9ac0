/**
 * Credentials that are part of what is asked: a provider that calls tools on somebody's behalf is given his token in the
 * request (https://platform.openai.com/docs/guides/tools-connectors-mcp,
 * https://platform.claude.com/docs/en/agents-and-tools/mcp-connector). What it then finds is his, and his alone; and a
 * request is stored beside its answers, where a token must not be.
 *
 * @module
 */

import { isJsonObject, type JsonObject } from "../json.ts";

/** Members of a request, or of a provider's options, whose items say what the provider may use. */
const TOOLS = ["tools", "mcp_servers", "mcpServers", "data_sources"];
/** Where an item keeps what it is set up with. */
const SETTINGS = ["args", "parameters"];
const CREDENTIALS = ["authorization", "authorization_token", "authorizationToken", "authentication", "headers"];

/** Why a request has to go round the cache for the credentials in it; `undefined` when there are none. */
export function reasonInCredentials(body: JsonObject): string | undefined {
  const items = TOOLS.flatMap((name) => body[name]).filter(isJsonObject);
  const found = items.flatMap((item) => [item, ...SETTINGS.map((name) => item[name]).filter(isJsonObject)])
    .flatMap((item) => CREDENTIALS.filter((name) => (item[name] ?? null) !== null));
  return found.length > 0 ? `the request has credentials in it: ${found[0]}` : undefined;
}
