import test from 'ava';
import { codeOf } from '#ledger/errors.ts';
import { Client } from '#node/client.ts';
import { networkFetch } from '#node/network-fetch.ts';
import { HeldTrust } from '#test/support/tls-node.ts';

/** How a node asks others at https addresses; `auditor.test.ts` has the rest. */

const URL_ASKED = 'https://127.0.0.1:1';

test('in a network without identities nobody is believed', async (t) => {
  const client = new Client(URL_ASKED, { secureFetch: networkFetch(async () => undefined) });
  t.is(codeOf(await t.throwsAsync(client.ready())), 'server_trust_missing');
});

test('what could not be loaded is loaded again', async (t) => {
  let tries = 0;
  const trust = async () => {
    if ((tries += 1) === 1) throw new Error('not now');
    return new HeldTrust();
  };
  const client = new Client(URL_ASKED, { secureFetch: networkFetch(trust) });
  for (let i = 0; i < 3; i++) {
    t.is(codeOf(await t.throwsAsync(client.ready())), 'node_unreachable');
  }
  t.is(tries, 2);
});
