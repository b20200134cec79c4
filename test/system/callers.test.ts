import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, realpathSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { PeerProcess, peerKernel } from '#native/peer-process.ts';
import { Attestor } from '#node/identity/attest.ts';
import { systemClock } from '#node/system.ts';
import { reasonToSkip } from './namespaces.ts';

/** Callers that arrange their own view of the file system. */

const reason = reasonToSkip();
const TRUSTED = realpathSync('/bin/true');
const ACTUAL = realpathSync('/bin/sleep');
const title = 'a path that a caller arranged in its own mount namespace does not count';

if (reason !== undefined) {
  test.skip(`${title}: ${reason}`, () => {});
} else {
  test(title, async (t) => {
    const script = `mount --bind ${ACTUAL} ${TRUSTED} && exec ${TRUSTED} 60`;
    const child = spawn('unshare', ['--mount', 'sh', '-c', script], { stdio: 'ignore' });
    t.teardown(() => child.kill('SIGKILL'));
    await once(child, 'spawn');
    const pid = child.pid ?? 0;
    while (!readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith(TRUSTED)) await sleep(10);
    const kernel = peerKernel();
    const caller = new PeerProcess(0, {
      ...kernel,
      credentials: () => ({ pid, uid: 0, gid: 0 }),
      pidfdOfPeer: kernel.pidfdOfPid.bind(kernel, pid),
    });
    t.teardown(() => caller.close());
    const facts = await new Attestor(systemClock).facts(caller, true);
    t.false('path' in facts);
    t.is(facts.sha256, createHash('sha256').update(readFileSync(ACTUAL)).digest('hex'));
  });
}
