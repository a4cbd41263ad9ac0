/**
 * How a directory of the site's private file system is called: the same one by one name, since its lock has it.
 *
 * @module
 */

/**
 * The name of a directory.
 *
 * @throws TypeError when it is none.
 */
export function directoryName(path: string): string {
  const names = path.split("/").filter((name) => name !== "" && name !== ".");
  if (names.length > 0 && !names.includes("..")) return names.join("/");
  throw new TypeError(
    `Cannot open a cache: directory has to be a path in the site's private file system, such as "cache": ${path}`,
  );
}
