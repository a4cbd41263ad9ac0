/**
 * Where a Worker's module is. A package for Node is compiled to JavaScript, names in import statements with it; a name
 * in a URL is only text to a compiler.
 *
 * @module
 */

/** The URL of a module beside `importer`, an `import.meta.url`, by its name without extension. */
export function siblingModule(name: string, importer: string): URL {
  return new URL(`./${name}${importer.endsWith(".js") ? ".js" : ".ts"}`, importer);
}
