import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import type { NodeStatus } from '#node/api/index.ts';
import { folder, start, x0t } from '#test/cli/support.ts';
import { fetchAs } from '#test/support/fetch-as.ts';

/** `nobody` on Debian; any uid that is not ours would do. */
const OTHER_UID = 65_534;
const PROGRAM = join(import.meta.dirname, 'workload.ts');
const WAIT_MS = 90_000;

interface Answer {
  readonly uid: number;
  readonly id: string;
  readonly status: number;
  readonly code?: string;
  readonly localPort: number;
  /** When it was asked; milliseconds since the Unix epoch. */
  readonly sent_ms: number;
}

test('a workload of another uid calls by mTLS; a policy lets it, the next does not', async (t) => {
  t.timeout(280_000);
  const cwd = folder(t);
  const run = mkdtempSync(join(tmpdir(), 'x0t-workload-'));
  chmodSync(run, 0o755);
  t.teardown(() => rmSync(run, { recursive: true, force: true }));
  const socket = join(run, 'api.sock');
  await x0t(cwd, 'init', '--data', 'd', '--json');
  const config = { api: { port: 0, tls: { port: 0 } }, identity: { socket } };
  writeFileSync(join(cwd, 'd', 'config.json'), JSON.stringify(config));
  const node = await start(t, cwd, '--data', 'd', '--log', 'silent', '--p2p-port', '0');
  const { url, directory } = node.started;
  const status = async () =>
    (await (await fetchAs(directory, `${url}/v1/status`)).json()) as NodeStatus;
  while ((await status()).api?.https?.state !== 'ready') await sleep(50);
  const { actor, identity, api } = await status();
  const domain = identity?.trustDomain ?? '';

  const spiffeId = `spiffe://${domain}/throw-away`;
  const on = async (...args: string[]): Promise<void> => {
    const ran = await x0t(cwd, ...args, '--data', 'd', '--wait', '--json');
    t.is(ran.code, 0, ran.stderr);
  };
  await on('identity', 'entry', 'throw-away', spiffeId, '--selector', `unix:uid:${OTHER_UID}`);
  const port = String(api?.https?.port);
  const args = [PROGRAM, String(OTHER_UID), socket, port, `spiffe://${domain}/node/${actor}`];
  const workload = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  t.teardown(() => workload.kill('SIGKILL'));
  const answers: Answer[] = [];
  let [rest, failed] = ['', ''];
  workload.stderr.setEncoding('utf8').on('data', (part: string) => (failed += part));
  workload.stdout.setEncoding('utf8').on('data', (part: string) => {
    const lines = (rest + part).split('\n');
    rest = lines.pop() ?? '';
    answers.push(...lines.map((line) => JSON.parse(line) as Answer));
  });
  const until = async (wanted: number): Promise<Answer> => {
    const end_ms = performance.now() + WAIT_MS;
    while (answers.at(-1)?.status !== wanted) {
      if (performance.now() > end_ms) throw new Error(`no ${wanted}: ${failed}`);
      await sleep(20);
    }
    return answers.at(-1) as Answer;
  };

  const before = await until(403);
  t.like(before, { uid: OTHER_UID, id: spiffeId, code: 'policy_denied' });
  const permit = `permit (principal == Spiffe::"${spiffeId}",
    action == Action::"api.status.read", resource);`;
  writeFileSync(join(cwd, 'throw-away.cedar'), permit);
  await on('policy', 'put', 'throw-away.cedar');
  const allowed = await until(200);
  await on('policy', 'delete', 'throw-away');
  // what is asked after the change is final is denied, on the connection that was open before
  const deleted_ms = Date.now();
  const asked = () => answers.filter(({ sent_ms }) => sent_ms > deleted_ms);
  while (asked().length < 3) await sleep(20);
  const after = asked();
  t.true(after.every((one) => one.status === 403 && one.code === 'policy_denied'));
  t.is(after[0]?.localPort, allowed.localPort);
  t.is(allowed.localPort, before.localPort);
  t.is((await node.stop()).code, 0);
});
