/** The contract of stores and of caches, kept inside a real Firefox: in a page, in a Worker, by several tabs, at a server. */

import { conformanceIn } from "./conformance/in_browser.ts";

conformanceIn("firefox");
