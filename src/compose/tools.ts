/**
 * What is done with a cache as a whole, besides asking it: packs, repair, migration. Long work tells how far it has come,
 * can be ended early by a signal and begun again, and never holds a whole cache in memory.
 *
 * @module
 */

export {
  type ForeignFormat,
  type ForeignPlace,
  type KnownRequest,
  type LeaveReason,
  type LeftAnswers,
  migrateCache,
  type MigrateOptions,
  type MigrationProgress,
  type MigrationReport,
  type ModelMigration,
} from "./migrate.ts";
export * from "./packs.ts";
export {
  type FileRepair,
  repairCache,
  type RepairCacheOptions,
  type RepairOutcome,
  type RepairReport,
  type SalvageCounts,
} from "./repair.ts";
export type { ModelCheck, Problem, ProblemKind, Progress, VerifyReport } from "../store/verify.ts";
