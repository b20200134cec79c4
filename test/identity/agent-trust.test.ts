import test from 'ava';
import { AgentTrust } from '#node/identity/agent-trust.ts';
import type { Bundle } from '#node/identity/bundle.ts';
import type { Certificate } from '#node/identity/certificate.ts';
import type { JwtAuthority } from '#node/identity/jwt-svid.ts';
import type { WorkloadState } from '#node/identity/workload-client.ts';

/** When the ledger is believed by a node that has an agent. */

const jwt: readonly JwtAuthority[] = [{ kid: 'ledger', jwk: {} }];
const given: readonly JwtAuthority[] = [{ kid: 'agent', jwk: {} }];
const x509: readonly Certificate[] = [];

function rig() {
  let current: WorkloadState = {
    status: 'waiting',
    problems: {},
    svids: [],
    x509Bundles: new Map(),
    jwtBundles: new Map(),
  };
  let listener: () => void = () => undefined;
  const onLedger = (trustDomain: string): Bundle => {
    return { trustDomain, x509, jwt, sequence: 1n, refreshHint_s: 60 };
  };
  const trust = new AgentTrust(
    {
      get current() {
        return current;
      },
      subscribe: (one) => {
        listener = one;
        return () => undefined;
      },
      x509AuthoritiesOf: (name) => current.x509Bundles.get(name),
      jwtAuthoritiesOf: (name) => current.jwtBundles.get(name),
    },
    onLedger,
  );
  const says = (change: Partial<WorkloadState>): void => {
    current = { ...current, ...change };
    listener();
  };
  const own = new Map([['agent.example', given]]);
  return { trust, says, own };
}

test('before the agent has answered nothing of the ledger is believed', (t) => {
  const { trust, says, own } = rig();
  t.is(trust.x509AuthoritiesOf('ledger.example'), undefined);
  t.is(trust.jwtAuthoritiesOf('ledger.example'), undefined);
  says({ status: 'ready', x509Bundles: new Map([['agent.example', x509]]) });
  t.is(trust.x509AuthoritiesOf('ledger.example'), x509);
  t.is(trust.jwtAuthoritiesOf('ledger.example'), undefined, 'of tokens it has said nothing yet');
  says({ jwtBundles: own });
  t.is(trust.jwtAuthoritiesOf('ledger.example'), jwt);
  t.is(trust.jwtAuthoritiesOf('agent.example'), given);
});

test('what the agent named once is not taken from the ledger when it drops it', (t) => {
  const { trust, says, own } = rig();
  says({ status: 'ready', jwtBundles: own, x509Bundles: new Map([['other.example', x509]]) });
  t.is(trust.jwtAuthoritiesOf('other.example'), undefined, 'named in the other message');
  const later = new Map([['new.example', given]]);
  says({ jwtBundles: later, x509Bundles: new Map() });
  t.is(trust.jwtAuthoritiesOf('agent.example'), undefined);
  t.is(trust.x509AuthoritiesOf('other.example'), undefined);
});

test('after a denial nothing of the ledger is believed', (t) => {
  const { trust, says, own } = rig();
  says({ status: 'ready', jwtBundles: own, x509Bundles: new Map([['agent.example', x509]]) });
  says({ status: 'denied', jwtBundles: new Map(), x509Bundles: new Map() });
  for (const name of ['agent.example', 'ledger.example']) {
    t.is(trust.x509AuthoritiesOf(name), undefined);
    t.is(trust.jwtAuthoritiesOf(name), undefined);
  }
});
