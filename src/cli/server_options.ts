/**
 * From settings, as operators say them, to the options of a server.
 *
 * @module
 */

import type { ServerOptions } from "../compose/server.ts";
import { type ApiKeyOptions, KEY_SCOPES, namedKey } from "../http/auth.ts";
import type { Settings } from "./settings.ts";

/** The options of a server of these settings, all but its log. */
export function serverOptions(settings: Settings): ServerOptions {
  const {
    config: _config,
    logLevel: _logLevel,
    logFormat: _logFormat,
    drainTimeout: _drainTimeout,
    maxMemory,
    maxGpuMemory,
    upstream,
    upstreams,
    apiKey = [],
    adminKey = [],
    apiKeys = [],
    ...options
  } = settings;
  const admins = adminKey.map((text): ApiKeyOptions => ({ ...namedKey(text), scopes: KEY_SCOPES }));
  return {
    ...options,
    apiKey: [...apiKeys, ...apiKey, ...admins],
    upstreams: { ...upstreams, ...upstream },
    ...(maxMemory !== undefined && { maxRamBytes: maxMemory }),
    ...(maxGpuMemory !== undefined && { maxGpuBytes: maxGpuMemory }),
  };
}
