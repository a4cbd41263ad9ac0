/** The Worker in which the model is. */

import "@warmcache/warmcache/browser/model-worker";
