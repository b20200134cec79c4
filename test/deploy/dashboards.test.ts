import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { pino } from 'pino';
import { Auditor } from '#node/auditor.ts';
import { initialiseNetwork } from '#node/cli/setup.ts';
import { startNode } from '#node/node.ts';
import { systemClock } from '#node/system.ts';
import { fetchAs } from '#test/support/fetch-as.ts';

/** Dashboards, alerts and the document name metrics that a node with an auditor really shows. */

const DEPLOY = join(import.meta.dirname, '..', '..', 'deploy');
const NAME = /\b(?:x0t|process|nodejs)_[a-z0-9_]+/g;

async function shown(): Promise<ReadonlySet<string>> {
  const base = await mkdtemp(join(tmpdir(), 'x0t-dashboards-'));
  try {
    const directory = join(base, 'node');
    const config = { api: { port: 0 }, p2p: { listen: ['/ip4/127.0.0.1/tcp/0'] } };
    await initialiseNetwork(directory, 'dashboards', config);
    const log = pino({ level: 'silent' });
    const options = { watch: [], every_ms: 60_000, workers: 1, clock: systemClock, log };
    const auditor = new Auditor(options);
    const node = await startNode({ directory, log, overseer: auditor });
    const stopped = new AbortController();
    const audits = auditor.run(node, stopped.signal);
    const text = await (await fetchAs(directory, `${node.url}/metrics`)).text();
    stopped.abort();
    await node.stop();
    await audits;
    return new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name as string));
  } finally {
    await rm(base, { recursive: true });
  }
}

const names = await shown();
const isShown = (name: string): boolean => names.has(name.replace(/_(?:bucket|sum|count)$/, ''));

interface Dashboard {
  readonly uid: string;
  readonly panels: readonly {
    readonly id: number;
    readonly title: string;
    readonly datasource: { readonly uid: string };
    readonly targets: readonly { readonly expr: string }[];
  }[];
}

const folder = join(DEPLOY, 'grafana', 'dashboards');
for (const file of await readdir(folder)) {
  test(`the dashboard ${file} names metrics that there are`, async (t) => {
    const { panels } = JSON.parse(await readFile(join(folder, file), 'utf8')) as Dashboard;
    const datasource = await readFile(
      join(DEPLOY, 'grafana/provisioning/datasources/prometheus.yaml'),
      'utf8',
    );
    t.true(panels.length > 5);
    t.is(new Set(panels.map(({ id }) => id)).size, panels.length);
    for (const { title, targets, datasource: { uid } } of panels) {
      t.true(datasource.includes(`uid: ${uid}\n`), title);
      t.true(targets.length > 0, title);
      for (const { expr } of targets) {
        const named = expr.match(NAME) ?? [];
        t.true(named.length > 0, expr);
        t.deepEqual(named.filter((name) => !isShown(name)), [], title);
      }
    }
  });
}

test('alerts name metrics that there are', async (t) => {
  const text = await readFile(join(DEPLOY, 'prometheus', 'alerts.yml'), 'utf8');
  const expressions = text.split('\n').filter((line) => line.includes('expr:'));
  const named = expressions.flatMap((line) => line.match(NAME) ?? []);
  t.true(named.length >= 6);
  t.deepEqual(named.filter((name) => !isShown(name)), []);
});

test('docs/metrics.md has every metric of the project', async (t) => {
  const text = await readFile(join(DEPLOY, '..', 'docs', 'metrics.md'), 'utf8');
  const own = [...names].filter((name) => name.startsWith('x0t_'));
  t.deepEqual(own.filter((name) => !text.includes(`\`${name}`)), []);
});
