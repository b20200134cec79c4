import test from 'ava';
import { Attestor } from '#node/identity/attest.ts';
import { LedgerIdentity } from '#node/identity/ledger-identity.ts';
import { Provider } from '#node/identity/provider.ts';
import { systemClock as clock } from '#node/system.ts';
import type { IdentityView } from '#projections/identity.ts';
import { ada, bob } from '#test/ledger/fold-support.ts';
import { codeOfPromise } from '#test/support/codes.ts';
import { quietLog } from './support.ts';
import { idOf, twoIssuers } from './two-issuers.ts';

test('a workload that has a token validated is told what the entries say, too', async (t) => {
  const { ledger, ofBob, enter, onAda } = await twoIssuers(t);
  const parts = ledger.of(ada);
  const view = () => parts.view() as IdentityView;
  const state = new LedgerIdentity({ ...parts, view, clock, log: quietLog, actor: ada });
  parts.onChange((isChanged) => state.refresh(isChanged));
  const authority = () => undefined;
  const provider = new Provider({ state, authority, attestor: new Attestor(clock), clock });
  const ask = (svid: string) => provider.validate([], { audience: 'api', svid });
  t.is((await ask(await ofBob.jwt(`node/${bob}`, 'api'))).spiffe_id, idOf(`node/${bob}`));
  const token = await ofBob.jwt('web', 'api');
  t.is(await codeOfPromise(ask(token)), 'svid_not_registered');
  enter('web', {});
  t.is((await ask(token)).spiffe_id, idOf('web'));
  enter('web', onAda);
  t.is(await codeOfPromise(ask(token)), 'svid_not_registered');
});
