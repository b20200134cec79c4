import test from 'ava';
import type { MembersJson, PostureJson } from '#node/client.ts';
import { describeMember, describeMembers } from '#node/cli/member-view.ts';
import { describePosture, describePostureOf } from '#node/cli/posture-view.ts';

const [ann, ben] = ['a1'.repeat(32), 'be'.repeat(32)];
const net: MembersJson = {
  epoch: 3,
  quorum: 1,
  members: [
    { actor: ann, state: 'active', roles: ['validator', 'operator'], author: 0, peer: '12D3A' },
    {
      actor: ben, state: 'retired', roles: [], peer: '12D3Ben', barred: true,
      labels: ['site=x', 'rack=7'], capabilities: ['vote'], addrs: ['/ip4/192.0.2.1/tcp/4420'],
      invite: 'f6'.repeat(32), reason: 'old',
    },
  ],
};

test('members stand in columns under their headings; --wide adds peers and labels', (t) => {
  t.deepEqual(describeMembers(net, false).split('\n'), [
    'epoch 3, quorum 1',
    `${'actor'.padEnd(64)}  state    seat    roles`,
    `${ann}  active   0       validator, operator`,
    `${ben}  retired  barred  member`,
    '',
  ]);
  const wide = describeMembers(net, true).split('\n');
  t.true(wide[1]?.endsWith('  roles                peer     labels'));
  t.true(wide[2]?.endsWith('  validator, operator  12D3A    -'));
  t.true(wide[3]?.endsWith('  member               12D3Ben  site=x rack=7'));
});

test('one member is shown with all that is known of it', (t) => {
  const [, member] = net.members;
  const text = describeMember(member as MembersJson['members'][number]);
  const { peer, labels = [], capabilities = [], addrs = [], invite, reason } = member ?? {};
  const values = [ben, 'retired', peer, ...labels, ...capabilities, ...addrs, invite, reason];
  for (const value of values) t.true(text.includes(value ?? 'nothing'), text);
  t.regex(text, /^seat +barred/m);
  t.regex(text, new RegExp(`^key +${ben} present, from 0$`, 'm'), 'it has its first key alone');
});

test('an isolation by rule shows what an operator ordered beside it', (t) => {
  const until_ms = Date.UTC(2026, 0, 2);
  const one: PostureJson['members'][number] = {
    actor: ben, score: 80_500, grade: 'quarantined', due: 'quarantined', canSpare: true,
    isConvicted: false, reports: [],
    isolation: {
      since_ms: 0, until_ms: until_ms - 1000, by: 'rule', author: ann, reason: 'due',
      recovers_ms: 1,
      floor: { grade: 'monitored', until_ms, author: ann, reason: 'a drill' },
    },
  };
  const text = describePostureOf(one);
  const [falls, ordered] = text.split('\n').slice(-3);
  t.is(falls, `falls to  monitored until 2026-01-02T00:00:00.000Z, by operator, ${ann}`);
  t.is(ordered, 'ordered   a drill');
  t.regex(describePosture([one]), /^actor +points +grade +until +by\n.* 80\.5 {2}quarantined/);
});
