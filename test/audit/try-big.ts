import { makeNet } from '#test/support/cluster.ts';
import { ChainBuilder } from '#test/support/chain-builder.ts';
import { exportCar, auditCar, auditStore } from '#node/audit/index.ts';
import { schema } from '#projections/index.ts';
import { rmSync, statSync, writeFileSync } from 'node:fs';
import { serialize } from 'node:v8';
const [events, perBlock, keys] = process.argv.slice(2).map(Number) as [number, number, number];
const net = await makeNet(4, 100);
const b = await ChainBuilder.start(net);
let n = 0;
const pool = [];
while (n < events) {
  pool.length = 0;
  for (let i = 0; i < 4 * perBlock; i++) {
    const k = n++;
    pool.push(await b.event(net.operators[k % 100]!, 1 + Math.floor(k / 100), { body: { key: `key-${k % keys}`, value: new Uint8Array(64).fill(k) } }));
  }
  await b.addRound((a) => pool.slice(a * perBlock, (a + 1) * perBlock));
}
for (let i = 0; i < 4; i++) await b.addRound();
const file = '/tmp/big.car';
rmSync(file, { force: true });
let t = performance.now();
await exportCar({ store: b.store, chain: net.chain, schema, file });
console.log('export ms', performance.now() - t, statSync(file).size, statSync(file).size / events, b.summary.size);
writeFileSync('/tmp/big.store', serialize([...b.store.rows]));
