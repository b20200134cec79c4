import { auditCar } from '#node/audit/index.ts';
import { schema } from '#projections/index.ts';
const cpu = process.cpuUsage();
const a = await auditCar('/tmp/big.car', { schema, workers: 2 });
const used = process.cpuUsage(cpu);
console.log(a.ok, a.signaturesPerSecond | 0, a.elapsed_ms | 0, 'cpu', (used.user + used.system) / 1000 | 0);
