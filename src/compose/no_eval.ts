/**
 * Has zod check bodies and suites without code that it makes of text, and without trying whether it may: a page whose
 * Content Security Policy forbids that would report every page view as an attack. To be imported before any schema is
 * made.
 *
 * @see https://zod.dev/v4?id=jit
 * @module
 */

import { config } from "zod";

config({ jitless: true });
