/** Looks at what a test is about, so that it does not fail when something else is told as well. */

/** Some members of an object. */
export function pick<T extends object, K extends keyof T>(object: T, ...names: K[]): Pick<T, K> {
  return Object.fromEntries(names.map((name) => [name, object[name]])) as Pick<T, K>;
}
