/** Names of directories in the private file system of a site. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { directoryName } from "../../../src/store/opfs/directory.ts";

describe("directoryName", () => {
  it("gives one directory one name", () => {
    for (const path of ["a/b", "/a/b", "a//b/", "./a/./b"]) assert.equal(directoryName(path), "a/b");
    assert.equal(directoryName(".warmcache"), ".warmcache");
  });

  it("refuses what is none, or lies outside", () => {
    for (const path of ["", "/", ".", "..", "a/../b"]) assert.throws(() => directoryName(path), TypeError);
  });
});
