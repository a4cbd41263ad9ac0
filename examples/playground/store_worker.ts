/** The Worker in which the cache's files are. */

import "@warmcache/warmcache/browser/worker";
