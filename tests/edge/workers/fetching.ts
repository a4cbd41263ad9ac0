/** What the example has of the package. */

export { openCache as default } from "../../../src/compose/edge.ts";
export { cachedFetch } from "../../../src/interop/fetch.ts";
