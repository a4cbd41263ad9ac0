/** How a function of a page's module is called from outside: as text, which every driver understands alike. */

/** What a function in a page failed with. */
export class PageError extends Error {
  /** The error's own name in the page. */
  override readonly name: string;
  /** Its `code`, where it has one. */
  readonly code: string | undefined;
  /** Takes what {@link callIn} brought home. */
  constructor({ name, message, code, stack }: Failure) {
    super(message);
    this.name = name;
    this.code = code;
    if (stack) this.stack = `${this.stack}\n  in the page:\n${stack}`;
  }
}

interface Failure {
  readonly name: string;
  readonly message: string;
  readonly code?: string;
  readonly stack?: string;
}

/** The page's module: the last one, since a bundler's own server puts its own in front. */
const MODULE = `import([...document.scripts].findLast(({ type }) => type === "module").src)`;

/** Waits until a page's module has run; fails as that did. */
export const LOADED: string = `${MODULE}.then(() => undefined)`;

/**
 * Calls a function that the page's module exports, by way of a driver's `evaluate`. Where a bundler drops what modules of
 * pages export, the page says it in a global named `page`.
 */
export async function callIn(
  evaluate: (script: string) => Promise<unknown>,
  name: string,
  args: readonly unknown[],
): Promise<unknown> {
  const answer = await evaluate(`(async () => {
    try {
      const page = globalThis.page ?? await ${MODULE};
      return JSON.stringify({ value: await page[${JSON.stringify(name)}](...${JSON.stringify(args)}) });
    } catch (error) {
      const { name, message, code, stack } = error instanceof Error ? error : new Error(String(error));
      return JSON.stringify({ failure: { name, message, code, stack } });
    }
  })()`);
  const { value, failure } = JSON.parse(String(answer)) as { value?: unknown; failure?: Failure };
  if (failure) throw new PageError(failure);
  return value;
}
