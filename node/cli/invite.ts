import { randomBytes } from 'node:crypto';
import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import { keyId } from '#ledger/cose.ts';
import { fail } from '#ledger/errors.ts';
import { ADDRS_MAX, INVITE_MS_MAX, INVITE_ROLES, inviteId } from '#ledger/invite.ts';
import type { Invite, InviteRole } from '#ledger/invite.ts';
import { SEED_BYTES } from '#native/seeded-key.ts';
import { makeToken, oneTimeKey } from '#node/membership/invite-token.ts';
import { addressesOf, peersIn } from '#node/membership/addresses.ts';
import { writeNewFile } from '#node/private-file.ts';
import { systemClock } from '#node/system.ts';
import { addCommand, collect } from './command.ts';
import { columns, utc } from './output.ts';
import { assertNew } from './files.ts';
import { clientOf } from './client.ts';
import { chainOf, signingKey, submitSigned } from './signing.ts';
import { withWriting } from './writing.ts';
import type { WritingOptions } from './writing.ts';

interface Options extends WritingOptions {
  readonly role?: readonly string[];
  readonly label?: readonly string[];
  readonly capability?: readonly string[];
  readonly addr?: readonly string[];
  /** Milliseconds. */
  readonly expires: number;
  readonly output?: string;
}

const DAY_MS = 24 * 3_600_000;
const UNITS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: DAY_MS };

/** `x0t invite`: a token that lets one member in (docs/membership.md). */
export function registerInvite(program: Command): void {
  const about = 'make a token with which one node, or one who signs, may join; by an operator';
  const { command, does } = addCommand<Options>(program, 'invite', about, [
    'x0t invite',
    'x0t invite --role validator --expires 2h --label site=berlin',
    'x0t invite --role participant --output ./token',
  ]);
  withWriting(command)
    .option('--role <role>', `${INVITE_ROLES.join(', ')}; may be repeated (observer)`, collect)
    .option('--label <name=value>', 'of the new member; may be repeated', collect)
    .option('--capability <text>', 'of the new member; may be repeated', collect)
    .option('--expires <time>', 'until when it can be used: 30m, 24h, 7d', duration, DAY_MS)
    .option('--addr <multiaddr>', "where to join (default: this node's); may be repeated", collect)
    .option('--output <file>', 'write the token to a new file of mode 0600');
  does(async (out, options) => {
    const roles = rolesOf(options.role ?? ['observer']);
    const key =
      (await signingKey(options)) ?? fail('usage', "Name an operator's key with --key FILE.");
    const client = await clientOf(options);
    assertNew(options.output);
    const chain = await chainOf(client, key);
    const addrs = options.addr ?? addressesOf((await client.status()).addrs);
    if (addrs.length === 0 || addrs.length > ADDRS_MAX || peersIn(addrs).size === 0) {
      const form = '/ip4/192.0.2.7/tcp/4420/p2p/12D3Koo…';
      fail('address_invalid', `An invite names 1 to ${ADDRS_MAX} addresses like ${form}.`);
    }
    const seed = new Uint8Array(randomBytes(SEED_BYTES));
    const terms = {
      roles,
      labels: [...(options.label ?? [])].toSorted(),
      capabilities: [...(options.capability ?? [])].toSorted(),
      addrs,
      notAfter_ms: systemClock.wall_ms() + options.expires,
    };
    const oneTime = keyId(oneTimeKey(seed).coseKey);
    const signer = keyId(key.coseKey) === key.actor ? {} : { signer: keyId(key.coseKey) };
    const invite: Invite = { chain, issuer: key.actor, ...signer, key: oneTime, ...terms };
    const token = await makeToken(invite, seed, key);
    seed.fill(0);
    const body = { keyHash: Uint8Array.fromHex(oneTime), ...terms };
    // a token that the network does not know yet would be refused
    await submitSigned(client, key, 'member.invite/1', body, true, options.timeout * 1000);
    if (options.output !== undefined) await writeNewFile(options.output, `${token}\n`);
    const made = {
      id: inviteId(invite),
      roles: terms.roles,
      addrs,
      notAfter: utc(terms.notAfter_ms),
      ...(options.output === undefined ? { token } : { file: options.output }),
    };
    out.show(made, () => (options.output === undefined ? token : described(made)));
  });
}

function described(made: {
  readonly id: string;
  readonly roles: readonly string[];
  readonly notAfter: string;
  readonly file?: string;
}): string {
  return columns([
    ['token', made.file ?? ''],
    ['invite', made.id],
    ['roles', made.roles.join(', ')],
    ['until', made.notAfter],
  ]);
}

/** As the ledger takes them; throws `usage`. */
export function rolesOf(names: readonly string[]): InviteRole[] {
  const roles = [...new Set(names)].toSorted().map((name) => {
    const role = INVITE_ROLES.find((one) => one === name);
    return role ?? fail('usage', `There is no role "${name}": ${INVITE_ROLES.join(', ')}.`);
  });
  return roles;
}

function duration(text: string): number {
  const [, count, unit = ''] = /^([1-9][0-9]{0,5})([mhd])$/.exec(text) ?? [];
  const time_ms = Number(count) * (UNITS[unit] ?? Number.NaN);
  if (time_ms > 0 && time_ms <= INVITE_MS_MAX) return time_ms;
  throw new InvalidArgumentError('Write it like 30m, 24h or 7d; 30 days at most.');
}
