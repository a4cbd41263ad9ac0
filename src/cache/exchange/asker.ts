/**
 * Who asks a provider: with which credentials. It is needed to tell those who ask apart, and to keep what they ask with
 * out of what is stored. It is itself never stored.
 *
 * @module
 */

/** Somebody who asks. */
export interface Asker {
  /** The same for all requests with the same credentials. Made when it is asked for: a hit needs none. */
  readonly id: string;
  /** A text without what he asks with: providers repeat a key that they refuse. */
  redact(text: string): string;
}

const TELL_APART = ["authorization", "api-key", "x-api-key", "x-goog-api-key", "openai-organization", "openai-project"];
const SECRET = /(?:^|-)(?:authorization|auth|key|token|cookie)$/;
/** A shorter one is a placeholder, such as clients are given that need none, and may be a word of any text. */
const SHORTEST_SECRET = 8;

/** Who makes a request. Google takes its key in the query as well. */
export function askerOf({ headers, url }: Pick<Request, "headers" | "url">): Asker {
  return {
    get id() {
      return JSON.stringify([...TELL_APART.map((name) => headers.get(name)), new URL(url).search]);
    },
    redact(text) {
      const { searchParams } = new URL(url);
      const values = [...headers].filter(([name]) => SECRET.test(name)).map(([, value]) => value);
      const secrets = [...values, searchParams.get("key") ?? ""].map((value) => value.replace(/^\w+ +/, ""));
      const known = secrets.filter(({ length }) => length >= SHORTEST_SECRET);
      return known.reduce((text, secret) => text.replaceAll(secret, "[redacted]"), text);
    },
  };
}
