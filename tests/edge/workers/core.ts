/** As little of the entry as a program can have: the cache. */

export { openCache as default } from "../../../src/compose/edge.ts";
