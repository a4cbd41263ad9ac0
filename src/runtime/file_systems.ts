/**
 * Which file systems other machines, or another kernel on this one, may reach behind this kernel's back. Locks and
 * writes there are not seen by everybody at once, on which sharing a database rests. Linux tells them apart by a number
 * (`linux/magic.h`, statfs(2)); where nobody has listed one, it is a disk of this machine.
 *
 * @module
 */

import type { FileSystem } from "./runtime.ts";

const REMOTE: ReadonlyMap<number, FileSystem> = new Map<number, FileSystem>([
  [0x6969, "nfs"],
  [0x517b, "smb"],
  [0xff534d42, "smb"],
  [0xfe534d42, "smb"],
  [0x564c, "ncp"],
  [0x01021997, "9p"],
  // Whatever a program answers for: sshfs, s3fs, virtiofs, the folders that Docker Desktop shares with its machine.
  [0x65735546, "fuse"],
  [0x00c36400, "ceph"],
  [0x5346414f, "afs"],
  [0x6b414653, "afs"],
  [0x73757245, "coda"],
  [0x0bd00bd0, "lustre"],
  [0x01161970, "gfs2"],
  [0x7461636f, "ocfs2"],
  [0x47504653, "gpfs"],
  [0x19830326, "beegfs"],
  [0xaad7aaea, "panfs"],
  [0xbeefdead, "snfs"],
  [0xa501fcf5, "vxfs"],
  [0x61636673, "acfs"],
  [0x786f4256, "vboxsf"],
  [0xbacbacbc, "vmhgfs"],
  [0x7c7c6673, "prl_fs"],
]);

/** The kind of file system that `f_type` of statfs(2) stands for. Some runtimes read its 32 bits with a sign. */
export function fileSystemOf(type: number): FileSystem {
  return REMOTE.get(type >>> 0) ?? "local";
}
