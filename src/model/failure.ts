/**
 * What an error from inside a model's Worker means to those outside.
 *
 * @module
 */

import { messageOf } from "../runtime/message.ts";
import { FileError } from "../runtime/runtime.ts";
import { ModelError } from "./error.ts";

/**
 * What went wrong while loading `what`, as the error callers know; a {@link ModelError} stays as it is. The bytes were
 * checked before they were looked at, so what is wrong with them will be until there are others; a file that cannot be
 * read, or memory that is short, may be better next time.
 */
export function loadFailure(what: string, error: unknown): ModelError {
  if (error instanceof ModelError) return error;
  if (isOutOfMemory(error)) {
    return new ModelError("out_of_memory", `Cannot load ${what}: there is not enough memory for it`, { cause: error });
  }
  const isReadable = !causes(error).some((cause) => cause instanceof FileError);
  const message = `Cannot load ${what}: ${messageOf(error)}`;
  return new ModelError("model_load_failed", message, { cause: error, permanent: isReadable });
}

/** What went wrong while a model ran; what is no {@link ModelError} means that its Worker is broken. */
export function runFailure(error: unknown): ModelError {
  if (error instanceof ModelError) return error;
  if (isOutOfMemory(error)) {
    const message = "The model ran out of memory: ask for less at once, or give it a machine with more";
    return new ModelError("out_of_memory", message, { cause: error });
  }
  return new ModelError("worker_failed", `The model's Worker failed: ${messageOf(error)}`, { cause: error });
}

/** Whether memory was short, in the words of V8, JavaScriptCore, Emscripten and onnxruntime. */
function isOutOfMemory(error: unknown): boolean {
  const words = /out of memory|bad_alloc|allocation failed|cannot enlarge memory|failed to allocate|\bOOM\b/i;
  return causes(error).some((cause) => words.test(messageOf(cause)));
}

/** An error, its cause, the cause of that, and so on. */
function causes(error: unknown): unknown[] {
  const all: unknown[] = [];
  for (let cause = error; cause !== undefined && all.length < 10; cause = (Object(cause) as ErrorOptions).cause) {
    all.push(cause);
  }
  return all;
}
