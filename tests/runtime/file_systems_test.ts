/** Which file systems a database must not be shared on, and what the machine really says of some. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { describe, it } from "node:test";
import { fileSystemOf } from "../../src/runtime/file_systems.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { temporaryFolder } from "../support/temporary.ts";

const { files } = await loadRuntime();

describe("fileSystemOf", () => {
  const cases: [type: number, kind: string, what: string][] = [
    [0x6969, "nfs", "NFS"],
    [0x517b, "smb", "SMB"],
    [0xff534d42, "smb", "CIFS"],
    [0xff534d42 | 0, "smb", "CIFS, read with a sign"],
    [0xfe534d42, "smb", "SMB 2"],
    [0x01021997, "9p", "9p, so Windows' drives in WSL 2"],
    [0x65735546, "fuse", "FUSE, so sshfs, virtiofs and Docker Desktop's folders"],
    [0x00c36400, "ceph", "Ceph"],
    [0xef53, "local", "ext4"],
    [0x58465342, "local", "XFS"],
    [0x9123683e, "local", "Btrfs"],
    [0x9123683e | 0, "local", "Btrfs, read with a sign"],
    [0x01021994, "local", "tmpfs"],
    [0x794c7630, "local", "overlayfs, so a container's own files"],
    [0x2fc12fc1, "local", "ZFS"],
  ];
  for (const [type, kind, what] of cases) {
    it(`${what} is ${kind}`, () => assert.equal(fileSystemOf(type), kind));
  }
});

describe("files.fileSystem", { skip: process.platform !== "linux" && "the numbers are Linux's" }, () => {
  it("says that a file, or a folder, on this machine's disk is local", async () => {
    const folder = await temporaryFolder();
    const path = join(folder, "with spaces and ü");
    files.open(path, "create").close();
    assert.equal(files.fileSystem(folder), "local");
    assert.equal(files.fileSystem(path), "local");
  });

  it("knows one that a program answers for", async (context) => {
    const folder = await temporaryFolder();
    // Another user's, so the kernel answers for the program, which therefore need not exist.
    const mount = "exec 3<>/dev/fuse; mount -i -t fuse -o fd=3,rootmode=40000,user_id=1,group_id=1 none";
    try {
      execFileSync("sh", ["-c", `${mount} "$0"`, folder], { stdio: "pipe" });
    } catch {
      // Not a part that could be installed: kernels and containers differ in what they allow.
      return context.skip("mounting FUSE is not allowed here");
    }
    try {
      assert.equal(files.fileSystem(folder), "fuse");
    } finally {
      execFileSync("umount", [folder]);
    }
  });

  it("says when nothing is there", async () => {
    const path = join(await temporaryFolder(), "missing");
    assert.throws(() => files.fileSystem(path), { name: "FileError", code: "ENOENT" });
  });
});
