/** Tells what an instance asks of its machine, one line an operation. */

import type { Runtime } from "../../src/runtime/runtime.ts";

type Operation = (...parameters: unknown[]) => unknown;

/** A machine that does as `runtime` does, and says so. */
export function traced(runtime: Runtime, tell: (line: string) => void): Runtime {
  const paths = new Map<number, string>();
  const watch = <T extends object>(
    target: T,
    describe: (parameters: readonly unknown[]) => string,
    wrap: (method: string, result: unknown, parameters: readonly unknown[]) => unknown = (_, result) => result,
  ): T =>
    new Proxy(target, {
      get(object, method) {
        const value = Reflect.get(object, method);
        if (typeof value !== "function") return value;
        return (...parameters: unknown[]) => {
          const what = `${String(method)} ${describe(parameters)}`;
          try {
            const result = (value as Operation).apply(object, parameters);
            tell(`${what} -> ${typeof result === "object" ? "" : result}`);
            return wrap(String(method), result, parameters);
          } catch (error) {
            tell(`${what} -> ${error}`);
            throw error;
          }
        };
      },
    });
  const say = (parameters: readonly unknown[]): string =>
    parameters.map((each) => each instanceof Uint8Array ? `[${each.length}]` : each).join(" ");
  const files = watch(runtime.files, say, (method, result, [name]) => {
    if (method !== "open") return result;
    const file = result as ReturnType<Runtime["files"]["open"]>;
    const path = `${name}#${file.descriptor}`;
    paths.set(file.descriptor, path);
    return watch(file, (inner) => `${path} ${say(inner)}`);
  });
  const rangeLocks = watch(
    runtime.rangeLocks!,
    ([descriptor, ...rest]) => `${paths.get(descriptor as number)} ${say(rest)}`,
  );
  return { ...runtime, files, rangeLocks };
}
