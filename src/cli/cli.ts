#!/usr/bin/env node
/**
 * The command line: looks into a response cache, checks and mends it, moves it elsewhere, and starts the server.
 *
 * ```sh
 * deno run -A jsr:@warmcache/warmcache/cli stats
 * deno run -A jsr:@warmcache/warmcache/cli ls --model gpt-4o-mini --since 7d
 * ```
 *
 * @module
 */

import { main } from "./main.ts";
import { CACHE_PROGRAM } from "./settings.ts";

if ((import.meta as { main?: boolean }).main) await main(CACHE_PROGRAM);
