import test from 'ava';
import { verifyCertificate } from '#ledger/certificate.ts';
import type { Certificate } from '#ledger/certificate.ts';
import { directVerifier } from '#test/support/cluster.ts';
import { SimCluster } from '#test/support/sim-cluster.ts';

const latest = ({ core }: SimCluster['nodes'][number]): Certificate | undefined =>
  core.certifier.latest;

test('a lone event is certified on every node, by an idle cut, and no block is sealed', async (t) => {
  const cluster = await SimCluster.start({ validators: 4 });
  await cluster.put(0, 'a');
  t.true(await cluster.until(() => cluster.haveFinal(1), 5000));
  await cluster.run(300);
  const sealed = cluster.sealed();
  const all = () => cluster.nodes.every((node) => latest(node)?.checkpoint.size === 1);
  t.true(await cluster.until(all, 10_000));
  const ids = cluster.nodes.map((node) => latest(node)?.checkpoint.id);
  t.is(new Set(ids).size, 1);
  await cluster.run(30_000);
  t.is(cluster.sealed(), sealed);
  t.deepEqual(cluster.troubles(), []);
  for (const node of cluster.nodes) {
    await verifyCertificate(latest(node) as Certificate, cluster.net.chain.committee, await directVerifier());
  }
  console.log(cluster.nodes.map(n => [n.core.certifier.counters, latest(n)?.checkpoint]));
  await cluster.stop();
});
