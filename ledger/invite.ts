import { decode, encode } from './codec.ts';
import { fail } from './errors.ts';
import * as field from './fields.ts';
import { bytesOf, idOf, linkOf } from './ids.ts';
import type { Id } from './ports.ts';

/**
 * What an operator promises to whoever holds the one-time key: `{t:'invite', v:1, chain, issuer,
 * signer?, key, roles, labels, capabilities, addrs, notAfter_ms}`. Its id is on the ledger, so a
 * changed invite is none.
 */
export interface Invite {
  readonly chain: Id;
  /** The actor that invites. */
  readonly issuer: Id;
  /** SHA-256 of the key that signed it, where that is not the issuer's inception key. */
  readonly signer?: Id;
  /** SHA-256 of the one-time COSE_Key. */
  readonly key: Id;
  readonly roles: readonly string[];
  /** `name=value` texts. */
  readonly labels: readonly string[];
  readonly capabilities: readonly string[];
  /** Where nodes of the network can be reached: multiaddrs that name their peers. */
  readonly addrs: readonly string[];
  /** Milliseconds since the Unix epoch; compared with a commit's time. */
  readonly notAfter_ms: number;
}

/** What may be invited for; `validator`: it gets a seat once it is ready. */
export const INVITE_ROLES = [
  'auditor',
  'observer',
  'operator',
  'participant',
  'validator',
] as const;
export type InviteRole = (typeof INVITE_ROLES)[number];

export const LABELS_MAX = 16;
export const CAPABILITIES_MAX = 16;
export const ADDRS_MAX = 8;
export const ADDR_CHARS_MAX = 256;
export const TERM_CHARS_MAX = 128;
/** Longer open doors are forgotten. */
export const INVITE_MS_MAX = 30 * 24 * 3_600_000;

const KNOWN = new Set([
  't',
  'v',
  'chain',
  'issuer',
  'signer',
  'key',
  'roles',
  'labels',
  'capabilities',
  'addrs',
  'notAfter_ms',
]);

export function encodeInvite(invite: Invite): Uint8Array {
  return encode({
    t: 'invite',
    v: 1,
    chain: linkOf(invite.chain),
    issuer: bytesOf(invite.issuer),
    ...(invite.signer !== undefined && { signer: bytesOf(invite.signer) }),
    key: bytesOf(invite.key),
    roles: invite.roles,
    labels: invite.labels,
    capabilities: invite.capabilities,
    addrs: invite.addrs,
    notAfter_ms: invite.notAfter_ms,
  });
}

/** Reads an invite; throws coded errors for anything else. */
export function decodeInvite(bytes: Uint8Array): Invite {
  const fields = field.fieldsOf(decode(bytes), KNOWN, 'invite');
  field.assertTag(fields, 'invite');
  const texts = (name: string, most: number, chars: number): string[] =>
    field
      .listOf(fields[name], name, most)
      .map((item) => field.textOfField({ [name]: item }, name, chars));
  return {
    chain: field.linkOfField(fields, 'chain'),
    issuer: field.digestOf(fields, 'issuer'),
    ...('signer' in fields && { signer: field.digestOf(fields, 'signer') }),
    key: field.digestOf(fields, 'key'),
    roles: texts('roles', INVITE_ROLES.length, TERM_CHARS_MAX).map(asRole),
    labels: texts('labels', LABELS_MAX, TERM_CHARS_MAX),
    capabilities: texts('capabilities', CAPABILITIES_MAX, TERM_CHARS_MAX),
    addrs: texts('addrs', ADDRS_MAX, ADDR_CHARS_MAX),
    notAfter_ms: field.integerOf(fields, 'notAfter_ms', 0, Number.MAX_SAFE_INTEGER),
  };
}

function asRole(role: string): InviteRole {
  const found = INVITE_ROLES.find((one) => one === role);
  return found ?? fail('out_of_range', `There is no role "${role}".`, { field: 'roles' });
}

export function inviteId(invite: Invite): Id {
  return idOf(encodeInvite(invite));
}
