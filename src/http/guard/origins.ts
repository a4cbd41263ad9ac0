/**
 * The web pages that may ask a server and read what it answers: its own, and those that its settings name.
 *
 * @see https://fetch.spec.whatwg.org/#http-cors-protocol
 * @module
 */

/** `https://page.example`, `http://localhost:5173`, `app://name`: scheme, host, and the port where it is not the usual. */
const ORIGIN = /^[a-z][a-z0-9+.-]*:\/\/[^\s/?#@]+$/;

/** Any page. */
const ANY = "*";

/** The origins of pages that may ask a server although they are not its own. */
export class ListedOrigins {
  readonly #listed: ReadonlySet<string>;

  /**
   * @param given origins as browsers send them, or `*` for all, which only a server with keys may say.
   * @throws TypeError for what no browser sends, and for `*` where any page could then ask without a key.
   */
  constructor(given: readonly string[], { hasKeys }: { readonly hasKeys: boolean }) {
    for (const each of given) {
      if (each === ANY && hasKeys) continue;
      if (each === ANY) {
        throw new TypeError("Cannot let all pages ask a server without API keys: name the origins, or use keys");
      }
      if (typeof each === "string" && isOrigin(each)) continue;
      throw new TypeError(`Cannot let a page ask (an origin such as https://page.example is needed): ${String(each)}`);
    }
    this.#listed = new Set(given);
  }

  /** Whether pages of an origin may ask. */
  has(origin: string): boolean {
    return this.#listed.has(origin) || this.#listed.has(ANY);
  }
}

/** Whether a browser could send it. `null` is sent for pages of which it knows nothing, so it names none. */
export function isOrigin(text: string): boolean {
  if (!ORIGIN.test(text) || !URL.canParse(text)) return false;
  const { protocol, origin } = new URL(text);
  return /^https?:$/.test(protocol) ? origin === text : true;
}
