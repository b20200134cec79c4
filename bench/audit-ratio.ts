import { join } from 'node:path';
import { openChain } from '#ledger/chain.ts';
import { storeKeys } from '#ledger/keys.ts';
import { auditCar, exportCar } from '#node/audit/index.ts';
import { dataPaths } from '#node/data-dir.ts';
import { LevelStore } from '#node/store.ts';
import { schemaFor } from '#node/schema.ts';
import { rawVerifyRate } from './raw-verify.ts';

/** Threads of both: one per core of the test machine. */
const WORKERS = 2;
const ROUNDS = 3;

/**
 * The audit's rate as a fraction of the raw verify rate of the same engine and threads, of an
 * export of a node that is stopped. The two take turns, and the median of the ratios counts: the
 * machine's speed drifts.
 */
export async function auditRatio(directory: string, rawSeconds: number): Promise<object> {
  const file = join(directory, 'bench.car');
  const store = await LevelStore.open(dataPaths(directory).store);
  const chain = openChain(store.get(storeKeys.genesis) as Uint8Array);
  const exported = await exportCar({ store, chain, schema: schemaFor(chain.genesis), file });
  await store.close();
  const rounds = [];
  for (let i = 0; i < ROUNDS; i++) {
    const raw = await rawVerifyRate({ workers: WORKERS, seconds: rawSeconds });
    const report = await auditCar(file, { schema: schemaFor, workers: WORKERS });
    if (!report.ok) throw new Error(`the audit found a fault: ${report.finding?.message ?? ''}`);
    rounds.push({
      ratio: report.signaturesPerSecond / raw.signaturesPerSecond,
      rawPerSecond: raw.signaturesPerSecond,
      auditPerSecond: report.signaturesPerSecond,
      report,
    });
  }
  const sorted = rounds.toSorted((a, b) => a.ratio - b.ratio);
  const median = sorted[Math.floor(ROUNDS / 2)] as (typeof rounds)[number];
  const { events, blocks, signatures } = median.report;
  return {
    events,
    blocks,
    signatures,
    clientSignedShare: Number(((signatures - blocks) / events).toFixed(3)),
    carBytes: exported.bytes,
    rawPerSecond: Math.round(median.rawPerSecond),
    auditPerSecond: Math.round(median.auditPerSecond),
    ratio: Number(median.ratio.toFixed(3)),
    ratios: rounds.map(({ ratio }) => Number(ratio.toFixed(3))),
  };
}
