import { auditCar } from '#node/audit/index.ts';
import { schema } from '#projections/index.ts';
import { rawVerifyRate } from '#bench/raw-verify.ts';
const rounds = Number(process.argv[2] ?? 3);
for (let i = 0; i < rounds; i++) {
  const raw = await rawVerifyRate({ workers: 2, seconds: 2 });
  const cpu = process.cpuUsage();
  const a = await auditCar('/tmp/big.car', { schema, workers: 2 });
  const used = process.cpuUsage(cpu);
  console.log(a.ok, a.finding?.message, raw.signaturesPerSecond | 0, a.signaturesPerSecond | 0, (a.signaturesPerSecond / raw.signaturesPerSecond).toFixed(3), a.elapsed_ms | 0, 'ms cpu', (used.user + used.system) / 1000 | 0, a.events, (process.memoryUsage().rss / 1e6) | 0, 'MB');
}
