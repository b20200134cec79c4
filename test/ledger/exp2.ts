import { chaos } from './chaos.ts';
for (let s = Number(process.argv[2]); s < Number(process.argv[3]); s++) { const t = performance.now(); const r = await chaos(s); console.log(s, r.events, r.commits, (performance.now()-t).toFixed(0), JSON.stringify(r.broken)); }
process.exit(0);
