/// <reference lib="dom" />
/** The Worker of a store, in a browser whose files cannot be had by Workers. */

import "../../../src/store/opfs/worker.ts";

Reflect.deleteProperty(FileSystemFileHandle.prototype, "createSyncAccessHandle");
