import { play } from './run.ts';
import { scenarioOf } from './scenario.ts';
const [a, b, mode] = process.argv.slice(2);
for (let s = Number(a); s < Number(b); s++) {
  const sc = scenarioOf(s, { snapshots: mode as never });
  const t0 = performance.now();
  const o = await play(sc);
  const late = sc.faults.find((f) => ['late','kill','power','partition','powerAtWrite'].includes(f.kind) && f.for_ms > 5000);
  console.log(s, 'n', sc.validators, '+', sc.observers, o.verdict, JSON.stringify(o.findings.slice(0,3)), 'fin', o.finals, JSON.stringify(o.snapshots), late && `${late.kind} ${late.nodes} till ${late.at_ms+late.for_ms}`, sc.configs?.map((c) => `${c.sync ?? 'full'}/${JSON.stringify(c.retention ?? 'a')}`).join(' '), Math.round(performance.now()-t0), 'healed', o.healed_ms);
}
process.exit(0);
