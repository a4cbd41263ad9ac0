/** A model's Worker with a GPU whose memory others have filled. */

import "./full_gpu.ts";
import "../../src/model/worker/worker.ts";
