import test from 'ava';
import { codeIn } from '#test/support/codes.ts';
import { heldAuthorities } from '#node/identity/bundle-refresh.ts';
import { validateX509Svid } from '#node/identity/x509-svid.ts';
import { systemClock as clock } from '#node/system.ts';
import { ada, bob } from '#test/ledger/fold-support.ts';
import { quietLog } from './support.ts';
import { twoIssuers } from './two-issuers.ts';

test('the server of an endpoint in this trust domain is whom its issuer vouches for', async (t) => {
  const { ledger, ofBob, enter } = await twoIssuers(t);
  const codeOf = async (path: string): Promise<string> => {
    const parts = { ledger: ledger.of(ada), actor: ada, clock, log: quietLog };
    const chain = (await ofBob.x509(path)).map(({ certificate }) => certificate);
    return codeIn(() => validateX509Svid(chain, heldAuthorities(parts), Date.now()));
  };
  t.is(await codeOf(`node/${bob}`), 'none');
  t.is(await codeOf(`node/${ada}`), 'svid_not_registered');
  t.is(await codeOf('endpoint'), 'svid_not_registered');
  enter('endpoint', {});
  t.is(await codeOf('endpoint'), 'none');
});
