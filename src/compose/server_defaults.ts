/**
 * What a server is where nothing is said: a file of its own, so that the settings can be read without a server.
 *
 * @module
 */

import type { ServerOptions } from "./server.ts";

/** The options that have a default. */
export type ServerDefaults = Required<
  Pick<ServerOptions, "host" | "port" | "cache" | "loadTimeout" | "drainDelay" | "headerTimeout">
>;

/** What a server is where nothing is said. */
export const SERVER_DEFAULTS: ServerDefaults = {
  host: "127.0.0.1",
  port: 8787,
  cache: ".warmcache",
  loadTimeout: 60_000,
  drainDelay: 0,
  headerTimeout: 30_000,
};
