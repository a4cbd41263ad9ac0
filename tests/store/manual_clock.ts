/** The clock of tests, where they have always found it. */

export { ManualClock } from "../../src/testing/manual_clock.ts";
