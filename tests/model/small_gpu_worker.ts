/** A model's Worker with a GPU whose buffers are small. */

import "./small_gpu.ts";
import "../../src/model/worker/worker.ts";
