/** A process that sends back what it gets, tells its permissions, or ends as it is told. */

import process from "node:process";
import { workerPort } from "../../src/runtime/worker_port.ts";

/** The slice of Deno's global scope that is used here, for the type check of other runtimes. */
declare const Deno: { readonly permissions: { querySync(permission: { name: string }): { readonly state: string } } };

const port = workerPort();
port.onMessage((message) => {
  switch (message) {
    case "exit":
      return process.exit(3);
    case "throw":
      throw new Error("out of order");
    case "pid":
      return port.post(process.pid);
    case "permissions": {
      const names = ["read", "env", "write", "net", "run", "ffi"];
      return port.post(Object.fromEntries(names.map((name) => [name, Deno.permissions.querySync({ name }).state])));
    }
    default:
      return port.post(message);
  }
});
