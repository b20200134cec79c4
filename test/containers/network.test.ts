import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test from 'ava';
import { poll } from '#deploy/net/network.ts';
import { PROMETHEUS_IMAGE, ask, buildPrometheus, dashboardQueries } from './metrics.ts';
import { ROOT, docker, imageName, shell } from './support.ts';

/**
 * The README's section for operators, command by command as it stands there, and on the network
 * that this brings up whatever else `deploy/testnet` can do.
 */

const MINUTE_MS = 60_000;
const HEADING = '## For operators: a net in containers';
const COMPOSE = 'docker compose -f deploy/compose.yaml';
const VALIDATORS = ['node-1', 'node-2', 'node-3', 'node-4'];

const readme = await readFile(join(ROOT, 'README.md'), 'utf8');
const section = readme.split(`${HEADING}\n`)[1]?.split('\n## ')[0] ?? '';
const consoles = [...section.matchAll(/```console\n([\s\S]*?)```/g)].map(([, text]) => text ?? '');
const lines = consoles.flatMap((text) => text.split('\n'));
const commands = lines.filter((line) => line.startsWith('$ ')).map((line) => line.slice(2));
const last = commands.at(-1) ?? '';

/** Prometheus is taken from a package. */
const ifApt = (await shell('command -v apt-get')).code === 0 ? test.serial : test.serial.skip;

test.before('the network is not in use', async (t) => {
  t.true(commands.length >= 6, 'the README has a section for operators');
  t.regex(last, /testnet down$/);
  const known = JSON.parse(await docker('compose', 'ls', '--all', '--format', 'json'));
  const isThere = (known as { Name: string }[]).some(({ Name }) => Name === 'x0t');
  t.false(isThere, 'a network of the name x0t is there: end it with `deploy/testnet down`');
});

/** Made by tests, not by the README's commands. */
const images: string[] = [];

test.after.always('nothing is left', async () => {
  await shell('deploy/testnet down');
  for (const image of images) await docker('image', 'rm', '--force', image);
});

/** Every row of `deploy/testnet` says ok. */
function assertRows(stdout: string, steps: readonly string[]): void {
  const rows = stdout.split('\n').slice(1).filter((line) => line !== '');
  const seen = rows.map((row) => row.split(/\s+/).slice(0, 2).join(' '));
  const wanted = steps.map((step) => `${step} ok`);
  if (seen.join() !== wanted.join()) throw new Error(`${seen.join()} is not ${wanted.join()}`);
}

for (const command of commands.slice(0, -1)) {
  test.serial(`README: ${command}`, async (t) => {
    t.timeout(15 * MINUTE_MS);
    const { code, stdout, all } = await shell(command);
    t.is(code, 0, all);
    if (command.startsWith('deploy/testnet ')) {
      const steps = command.split(' ').slice(1);
      t.notThrows(() => assertRows(stdout, steps), stdout);
      t.log(stdout);
    }
    if (command.endsWith('kv get greeting')) t.is(stdout, 'hello');
    if (command.includes('readyz')) t.deepEqual(JSON.parse(stdout), { ready: true, reasons: [] });
  });
}

interface Service {
  readonly read_only?: boolean;
  readonly user?: string;
  readonly cap_drop?: readonly string[];
  readonly cap_add?: readonly string[] | null;
  readonly security_opt?: readonly string[];
  readonly mem_limit?: string;
  readonly logging?: { readonly options?: { readonly 'max-size'?: string } };
  readonly privileged?: boolean;
  readonly ports?: readonly { readonly host_ip?: string }[];
  readonly volumes?: readonly { readonly type: string; readonly source: string }[];
}

test.serial('every service is confined, and each secret is where it belongs only', async (t) => {
  const text = await shell(`${COMPOSE} --profile '*' config --format json`);
  t.is(text.code, 0, text.all);
  const { services, networks } = JSON.parse(text.stdout) as {
    readonly services: Readonly<Record<string, Service>>;
    readonly networks: Readonly<Record<string, { readonly internal?: boolean }>>;
  };
  const holders = new Map<string, string[]>();
  for (const [name, service] of Object.entries(services)) {
    t.true(service.read_only, name);
    t.deepEqual(service.cap_drop, ['ALL'], name);
    t.deepEqual(service.security_opt, ['no-new-privileges:true'], name);
    t.truthy(service.mem_limit, name);
    t.truthy(service.logging?.options?.['max-size'], name);
    t.not(service.privileged, true, name);
    t.deepEqual(service.cap_add ?? [], name.startsWith('chaos-') ? ['NET_ADMIN'] : [], name);
    for (const { host_ip } of service.ports ?? []) t.is(host_ip, '127.0.0.1', name);
    for (const { type, source } of service.volumes ?? []) {
      if (type === 'bind') t.false(source.includes('docker.sock'), name);
      if (type === 'volume') holders.set(source, [...(holders.get(source) ?? []), name]);
    }
  }
  t.true(networks['mesh']?.internal);
  for (const name of [...VALIDATORS, 'observer', 'auditor']) {
    t.deepEqual(holders.get(name)?.toSorted(), ['init', name].toSorted());
  }
  t.deepEqual(holders.get('operators')?.toSorted(), ['init', 'operator']);
  t.deepEqual(holders.get('monitoring')?.toSorted(), ['init', 'prometheus']);
});

test.serial('a running node has no right, and cannot write beside its data', async (t) => {
  const script = 'cat /proc/1/status; touch /x 2>&1; ls -ld /data; ls /net/node-2';
  const { all } = await shell(`${COMPOSE} exec -T node-1 sh -c '${script}'`);
  t.regex(all, /CapEff:\s+0{16}\n/);
  t.regex(all, /Uid:\s+10001\s/);
  t.regex(all, /Read-only file system/);
  t.regex(all, /drwx------ .* \/data/);
  t.notRegex(all, /node\.key/);
});

test.serial('init keeps what is there', async (t) => {
  const { code, all } = await shell(`${COMPOSE} run --rm -T init 2>/dev/null`);
  t.is(code, 0, all);
  t.regex(all, /the network is there/);
});

/** Counters with labels that nothing has happened to yet have no series. */
const MAY_BE_EMPTY = /bans_total|rejected_total|disconnects_total/;

ifApt('Prometheus finds all nodes, and has data for every panel and alert', async (t) => {
  t.timeout(5 * MINUTE_MS);
  const folder = await mkdtemp(join(tmpdir(), 'x0t-prometheus-'));
  t.teardown(() => rm(folder, { recursive: true }));
  await buildPrometheus(folder);
  images.push(PROMETHEUS_IMAGE);
  const compose = `PROMETHEUS_IMAGE=${PROMETHEUS_IMAGE} PROMETHEUS_PORT=0 ${COMPOSE}`;
  const up = await shell(`${compose} --profile metrics up -d --no-deps prometheus`);
  t.is(up.code, 0, up.all);
  const url = `http://${(await shell(`${compose} port prometheus 9090`)).stdout.trim()}`;
  interface Targets {
    readonly activeTargets: readonly { readonly health: string; readonly scrapeUrl: string }[];
  }
  await poll('all nodes are scraped', MINUTE_MS, async () => {
    const { activeTargets } = await ask<Targets>(url, 'targets');
    return activeTargets.length === 6 && activeTargets.every(({ health }) => health === 'up');
  });
  const queries = await dashboardQueries();
  t.true(queries.length > 20);
  for (const query of queries) {
    if (MAY_BE_EMPTY.test(query)) await ask(url, 'query', query);
    else {
      // rates need two looks
      await poll(`data for ${query}`, MINUTE_MS, async () => {
        return (await ask<{ result: readonly unknown[] }>(url, 'query', query)).result.length > 0;
      });
    }
  }
  interface Rules {
    readonly groups: readonly { readonly rules: readonly { name: string; state: string }[] }[];
  }
  const { groups } = await ask<Rules>(url, 'rules');
  const rules = groups.flatMap((group) => group.rules);
  t.is(rules.length, 6);
  t.deepEqual(rules.filter(({ state }) => state === 'firing'), []);
  const removed = await shell(`${compose} --profile metrics rm --stop --force prometheus`);
  t.is(removed.code, 0, removed.all);
});

/** An image of the same tree with one line more: another tag, another digest. */
async function nextImage(folder: string): Promise<string> {
  const base = (await readFile(join(ROOT, 'dist/base/name.txt'), 'utf8')).trim();
  const names = ['ledger', 'p2p', 'native', 'projections', 'governance', 'node', 'deploy'];
  for (const name of [...names, 'package.json', 'package-lock.json', 'LICENSE']) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await cp(join(ROOT, name), join(folder, name), { recursive: true });
  }
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  const file = join(folder, 'node/frugal.ts');
  await writeFile(file, `${await readFile(file, 'utf8')}\n// another version\n`);
  const { code, all } = await shell(`deploy/build --base ${base} --output dist`, folder);
  if (code !== 0) throw new Error(all);
  return imageName(folder);
}

test.serial('all nodes change to another image, one after the other, under load', async (t) => {
  t.timeout(15 * MINUTE_MS);
  const folder = await mkdtemp(join(tmpdir(), 'x0t-next-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const before = imageName();
  const image = await nextImage(folder);
  t.not(image, before);
  images.push(image, image.replace('x0t:', 'x0t-chaos:'));
  const { code, stdout, all } = await shell(`deploy/testnet --seconds 2 --image ${image} roll`);
  t.is(code, 0, all);
  t.log(stdout);
  for (const name of VALIDATORS) {
    t.is(await docker('inspect', '--format={{.Config.Image}}', `x0t-${name}-1`), image);
  }
});

test.serial('without a quorum nothing is final; cuts from within, in turn, heal', async (t) => {
  t.timeout(15 * MINUTE_MS);
  await docker('kill', 'x0t-node-2-1');
  await docker('network', 'disconnect', 'x0t_mesh', 'x0t-node-3-1');
  const command = 'X0T_CHAOS_S=30 deploy/testnet --seconds 2 heal split chaos';
  const { code, stdout, all } = await shell(command);
  t.is(code, 0, all);
  t.log(stdout);
  t.notThrows(() => assertRows(stdout, ['heal', 'split', 'chaos']));
});

test.serial(`README: ${last}`, async (t) => {
  t.timeout(5 * MINUTE_MS);
  const { code, all } = await shell(last);
  t.is(code, 0, all);
  const ours = ['--quiet', '--filter', 'label=com.docker.compose.project=x0t'];
  t.is(await docker('ps', '--all', ...ours), '');
  t.is(await docker('volume', 'ls', ...ours), '');
});
