/**
 * Which provider answers at an origin. One table for everything that sees URLs, so that the library, the fetch wrapper
 * and the proxy compute the same scope for the same call.
 *
 * @module
 */

/** Providers by origin. A configured upstream has the name it was configured by. */
export type Upstreams = Readonly<Record<string, string>>;

const KNOWN: Upstreams = {
  "https://api.openai.com": "openai",
  "https://api.anthropic.com": "anthropic",
  "https://generativelanguage.googleapis.com": "google",
};

/** The provider at an origin: a configured name, a known one, else the origin itself. */
export function providerAt(origin: string, configured: Upstreams = {}): string {
  for (const table of [configured, KNOWN]) if (Object.hasOwn(table, origin)) return table[origin]!;
  return origin;
}
