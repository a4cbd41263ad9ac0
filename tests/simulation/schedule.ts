/** Schedules as people read them and as they are stored, to be replayed. */

import type { Fault } from "./faults.ts";
import type { Action, Layer } from "./plan.ts";
import type { Schedule } from "./simulation.ts";
import { NAMES_OF_EVENTS, STEPS_PER_ACTION } from "./turns.ts";

/** A schedule with what it is about: a seed still decides what is drawn within an operation. */
export interface StoredSchedule extends Schedule {
  readonly seed: number;
  readonly layer?: Layer;
  readonly fault?: Fault;
}

/** What is done and what happens, one line each. */
export function describeSchedule({ programs, events }: Schedule): string[] {
  const lines: string[] = [];
  programs.forEach((program, instance) =>
    program.forEach((action, number) => {
      if (action.kind !== "nothing") lines.push(`instance ${instance}, action ${number}: ${describeAction(action)}`);
    })
  );
  for (const { instance, step, kind, parameter } of events) {
    const action = Math.floor(step / STEPS_PER_ACTION);
    const what = NAMES_OF_EVENTS[kind] === "switch" ? `switch to ${parameter & 3}` : NAMES_OF_EVENTS[kind];
    lines.push(`  in action ${action} of instance ${instance}, before operation ${step % STEPS_PER_ACTION}: ${what}`);
  }
  return lines;
}

function describeAction({ kind, ...details }: Action): string {
  const words = Object.entries(details).map(([name, value]) => `${name} ${JSON.stringify(value)}`);
  return [kind, ...words].join(", ");
}
