/// <reference lib="dom" />
/** How elements are made: text is only ever put in as text. */

/** What an element is given: properties by their names in the DOM, attributes where there is no property. */
export type Given = Readonly<Record<string, string | number | boolean | undefined>>;

/** Makes an element of HTML. */
export function make<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  given: Given = {},
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[Name] {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(given)) {
    if (value === undefined) continue;
    if (key in element) Reflect.set(element, key, value);
    else element.setAttribute(key, String(value));
  }
  element.append(...children);
  return element;
}

/**
 * An element of the page by its id.
 *
 * @throws Error where the page has none, or one of another kind.
 */
export function find<Kind extends Element>(id: string, kind: new () => Kind): Kind {
  const found = document.getElementById(id);
  if (found instanceof kind) return found;
  throw new Error(`The page has no ${kind.name} with this id: ${id}`);
}
