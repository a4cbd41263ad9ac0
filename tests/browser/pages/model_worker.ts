/** The Worker of models in a module of a page's own, as bundlers want it. */

import "../../../src/compose/browser_model_worker.ts";
