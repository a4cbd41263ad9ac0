/// <reference lib="dom" />
/** The store's own Worker, which goes by a test's time ({@link ./test_time.ts}). */

import "../../../src/store/opfs/worker.ts";

addEventListener("message", ({ data }) => {
  if (!(data instanceof SharedArrayBuffer)) return;
  const time = new Float64Array(data);
  Date.now = () => time[0]!;
});
