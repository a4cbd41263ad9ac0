/** Something to wait at until the test opens it, so that tests order events instead of timing them. */

/** A gate that is shut until `open` is called. */
export interface Gate {
  /** Resolves when somebody has come to the gate. */
  readonly reached: Promise<void>;
  /** Waits at the gate. */
  pass(): Promise<void>;
  /** Lets everybody through, now and later. */
  open(): void;
}

/** A shut gate. */
export function gate(): Gate {
  const reached = Promise.withResolvers<void>();
  const opened = Promise.withResolvers<void>();
  return {
    reached: reached.promise,
    pass: () => {
      reached.resolve();
      return opened.promise;
    },
    open: () => opened.resolve(),
  };
}
