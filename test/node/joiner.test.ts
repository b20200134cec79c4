import test from 'ava';
import { encode } from '#ledger/codec.ts';
import { fail } from '#ledger/errors.ts';
import { Joiner } from '#node/membership/joiner.ts';
import type { JoinerParts } from '#node/membership/joiner.ts';
import { silentLog } from '#test/support/cluster.ts';
import { seededActor } from '#test/support/seeded-actor.ts';

const { actor } = seededActor('joiner that is stopped');

test('what was under way at the stop asks no closed store', async (t) => {
  // the clock's timers do not keep a process alive
  const alive = setInterval(() => undefined, 60_000);
  t.teardown(() => clearInterval(alive));
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<void>();
  let isClosed = false;
  const row = encode({ state: 'joining', addrs: ['/ip4/192.0.2.1/tcp/4101'] });
  const rows = {
    get: (key: string) => {
      if (isClosed) fail('store_failed', 'It is closed.');
      return key === `actor/${actor}` ? row : undefined;
    },
  };
  const joiner = new Joiner({
    directory: '',
    core: {
      rows: () => rows,
      antiEntropy: { isInStep: true, catchUp: { isRunning: false } },
      author: async () => {
        asked.resolve();
        await answer.promise;
        return fail('stopping', 'The node is stopping.');
      },
    },
    network: { status: () => ({ addrs: [] }), dialNow: () => undefined },
    log: silentLog,
    actor,
    peerKey: new Uint8Array(),
    pending: undefined,
  } as unknown as JoinerParts);
  joiner.start();
  await asked.promise;
  joiner.stop();
  isClosed = true;
  const failures: unknown[] = [];
  const note = (error: unknown): void => void failures.push(error);
  process.on('unhandledRejection', note);
  answer.resolve();
  await new Promise((resolve) => {
    setTimeout(resolve, 20);
  });
  process.off('unhandledRejection', note);
  t.deepEqual(failures, []);
  t.is(joiner.progress, 'stopping');
});
