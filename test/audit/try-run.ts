import { auditCar } from '#node/audit/index.ts';
import { schema } from '#projections/index.ts';
import { rawVerifyRate } from '#bench/raw-verify.ts';
const rounds = Number(process.argv[2] ?? 3);
const cpuOf = async <T>(work: () => Promise<T>) => { const c = process.cpuUsage(); const r = await work(); const u = process.cpuUsage(c); return [r, (u.user + u.system) / 1000] as const; };
for (let i = 0; i < rounds; i++) {
  const [raw, rawCpu] = await cpuOf(() => rawVerifyRate({ workers: 2, seconds: 2 }));
  const [a, aCpu] = await cpuOf(() => auditCar('/tmp/big.car', { schema, workers: 2 }));
  const rawUs = rawCpu * 1000 / raw.signatures, aUs = aCpu * 1000 / a.signatures;
  console.log(a.ok, a.finding?.message, raw.signaturesPerSecond | 0, a.signaturesPerSecond | 0, 'ratio', (a.signaturesPerSecond / raw.signaturesPerSecond).toFixed(3), a.elapsed_ms | 0, 'ms; cpu us per sig raw', rawUs.toFixed(0), 'audit', aUs.toFixed(0), (rawUs / aUs).toFixed(3));
}
