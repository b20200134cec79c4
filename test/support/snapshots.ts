import type { SimCluster } from './sim-cluster.ts';

let made = 0;

/** Makes so many bare events final at the nodes that can; keys repeat. */
export async function fill(
  cluster: SimCluster,
  count: number,
  indexes: readonly number[] = [0, 1, 2, 3],
  group = 10,
): Promise<void> {
  const [first = 0] = indexes;
  const before = cluster.at(first).core.replica.fold.size;
  for (let left = count; left > 0; ) {
    const some = Math.min(left, group);
    await cluster.during(
      Promise.all(
        Array.from({ length: some }, (_, i) => {
          const { core } = cluster.at(indexes[i % indexes.length] as number);
          const body = { key: `k${(made += 1) % 97}`, value: new Uint8Array(20).fill(made) };
          return core.author('kv.put/1', body, false);
        }),
      ),
    );
    left -= some;
    const size = before + count - left;
    const isFinal = () => indexes.every((i) => cluster.at(i).core.replica.fold.size >= size);
    if (!(await cluster.until(isFinal, 20_000))) throw new Error(`not ${size} final`);
  }
}
