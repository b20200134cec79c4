/**
 * Export, audit and their reports. `exportCar` writes a node's log into a file; `auditCar` and
 * `auditStore` verify a file or a store from genesis on (docs/audit.md).
 */
import type { BlockStore } from '#ledger/ports.ts';
import { assertArchive } from '#ledger/snapshot/pruned.ts';
import { auditSubject } from './audit.ts';
import type { AuditOptions, AuditReport } from './audit.ts';
import { openCar } from './car-source.ts';
import { openStoreSubject } from './stored-state.ts';

/** Audits an export. Throws `audit_read_failed`, `engine_...`; all else is a finding. */
export function auditCar(file: string, options: AuditOptions): Promise<AuditReport> {
  return auditSubject(async () => {
    const source = await openCar(file);
    const { chain, manifest } = source;
    return {
      chain,
      reported: manifest,
      epoch: Math.max(0, (manifest.epochs?.length ?? 1) - 1),
      source,
      finish: () => Promise.resolve(),
      close: () => source.close(),
    };
  }, options);
}

/**
 * Audits the store of a node that does not run: its blocks, and every row that it derived from
 * them. The caller opens and closes the store; nothing is written. Throws `engine_...`, and
 * `pruned` for a store without the whole log; all else is a finding.
 */
export async function auditStore(
  store: Pick<BlockStore, 'get' | 'range'>,
  options: AuditOptions,
): Promise<AuditReport> {
  assertArchive(store);
  return auditSubject(() => openStoreSubject(store, options.schema), options);
}

export { exportCar } from './export.ts';
export type { ExportReport } from './export.ts';
export type { AuditOptions, AuditReport } from './audit.ts';
