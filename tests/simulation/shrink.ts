/**
 * Makes a failure short enough to be understood: leaves out actions and events as long as what remains still fails in
 * the same way.
 */

import type { Action } from "./plan.ts";
import type { Failure, Schedule, Simulation } from "./simulation.ts";

/**
 * Finds a schedule of which nothing can be left out.
 *
 * @throws Error when the failure does not happen again.
 */
export async function shrink(simulation: Simulation, failure: Failure): Promise<Failure> {
  const shrinking = new Shrinking(simulation, failure);
  if (!await shrinking.fails({ programs: failure.plan.programs, events: failure.events })) {
    throw new Error(`Cannot shrink seed ${failure.seed}: replayed, it does not fail`);
  }
  let before: string;
  do {
    before = JSON.stringify(shrinking.schedule);
    await shrinking.leaveOutActions();
    await shrinking.leaveOutEvents();
    await shrinking.simplify();
  } while (JSON.stringify(shrinking.schedule) !== before);
  return shrinking.best;
}

class Shrinking {
  best: Failure;
  schedule: Schedule;
  readonly #simulation: Simulation;

  constructor(simulation: Simulation, failure: Failure) {
    this.#simulation = simulation;
    this.best = failure;
    this.schedule = { programs: failure.plan.programs, events: failure.events };
  }

  /** Whether a schedule fails as the failure does; if so, it is what is shrunk further. */
  async fails(schedule: Schedule): Promise<boolean> {
    const { seed } = this.best;
    const [failure] = await this.#simulation.run({ from: seed, to: seed + 1, schedule });
    if (!failure || kindOf(failure) !== kindOf(this.best)) return false;
    this.best = failure;
    // Only what really happened counts.
    this.schedule = { programs: schedule.programs, events: failure.events };
    return true;
  }

  async leaveOutActions(): Promise<void> {
    const actions = (): [number, number][] =>
      this.schedule.programs.flatMap((program, instance) =>
        program.flatMap(({ kind }, number): [number, number][] => kind === "nothing" ? [] : [[instance, number]])
      );
    await leaveOut(actions, (left) => {
      const isLeft = new Set(left.map(String));
      const programs = this.schedule.programs.map((program, instance) =>
        program.map((action, number): Action => isLeft.has(`${instance},${number}`) ? action : { kind: "nothing" })
      );
      return this.fails({ ...this.schedule, programs });
    });
  }

  async leaveOutEvents(): Promise<void> {
    await leaveOut(() => this.schedule.events, (events) => this.fails({ ...this.schedule, events }));
  }

  /** Gives each action its plainest form. */
  async simplify(): Promise<void> {
    for (const [instance, program] of this.schedule.programs.entries()) {
      for (const number of program.keys()) {
        for (
          const change of [{ pages: [] }, { undo: false }, { full: false }, { again: false }, { begin: "IMMEDIATE" }]
        ) {
          const action = this.schedule.programs[instance]![number]!;
          const [[name, value]] = Object.entries(change) as [[string, unknown]];
          const known = (action as Record<string, unknown>)[name];
          if (known === undefined || JSON.stringify(known) === JSON.stringify(value)) continue;
          const programs = this.schedule.programs.map((each) => [...each]);
          programs[instance]![number] = { ...action, ...change } as Action;
          await this.fails({ ...this.schedule, programs });
        }
      }
    }
  }
}

/** What went wrong, less its numbers. */
function kindOf({ failure }: Failure): string {
  return failure.slice(0, failure.indexOf(":"));
}

/** Leaves out runs of parts, long ones first, as long as `stillFails`. */
async function leaveOut<T>(
  parts: () => readonly T[],
  stillFails: (left: readonly T[]) => Promise<boolean>,
): Promise<void> {
  for (let length = parts().length; length >= 1; length = Math.floor(length / 2)) {
    for (let end = parts().length; end > 0; end = Math.min(end - length, parts().length)) {
      const all = parts();
      await stillFails([...all.slice(0, Math.max(0, end - length)), ...all.slice(end)]);
    }
  }
}
