import type { MemberJson, MembersJson } from '#node/client.ts';
import { columns } from './output.ts';
import { describeKey, keysOf } from './own-key.ts';
import { NOTHING, table } from './table.ts';

/** Members as text. */

const HEAD = ['actor', 'state', 'seat', 'roles'];

/** One line for each member; `isWide`: with the peer id and the labels. */
export function describeMembers(
  { epoch, quorum, members }: MembersJson,
  isWide: boolean,
): string {
  const head = [...HEAD, ...(isWide ? ['peer', 'labels'] : [])];
  const rows = members.map((one) => [
    one.actor,
    one.state,
    seatOf(one),
    rolesOf(one),
    ...(isWide ? [one.peer ?? NOTHING, one.labels?.join(' ') ?? NOTHING] : []),
  ]);
  return `epoch ${epoch}, quorum ${quorum}\n${table(head, rows)}`;
}

/** Its index in the committee, or why it gets none. */
function seatOf({ author, barred = false }: MemberJson): string {
  if (author !== undefined) return `${author}`;
  return barred ? 'barred' : NOTHING;
}

function rolesOf({ roles }: MemberJson): string {
  return roles.join(', ') || 'member';
}

/** All that is known of a member. */
export function describeMember(member: MemberJson): string {
  const rows: (readonly [string, string | number])[] = [
    ['actor', member.actor],
    ['state', member.state],
    ['roles', rolesOf(member)],
  ];
  const { author, peer, addrs = [], labels = [], capabilities = [], invite, reason } = member;
  if (author !== undefined) rows.push(['author', author]);
  if (member.barred) rows.push(['seat', 'barred: it signed two blocks for one slot']);
  if (member.seeksSeat) rows.push(['seat', 'it gets one once it is ready']);
  if (peer !== undefined) rows.push(['peer', peer]);
  for (const addr of addrs) rows.push(['address', addr]);
  for (const label of labels) rows.push(['label', label]);
  for (const capability of capabilities) rows.push(['capability', capability]);
  for (const key of keysOf(member)) rows.push(['key', `${key.id} ${describeKey(key)}`]);
  if (invite !== undefined) rows.push(['invite', invite]);
  if (reason !== undefined) rows.push(['reason', reason]);
  return columns(rows);
}
