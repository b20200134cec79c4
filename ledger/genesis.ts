import { decode, encode } from './codec.ts';
import { Committee, encodeValidators } from './committee.ts';
import type { Validator } from './committee.ts';
import { keyId, publicKeyOf } from './cose.ts';
import { fail } from './errors.ts';
import * as field from './fields.ts';
import { bytesOf, idOf, linkOf } from './ids.ts';
import { COMMITTEE_MAX } from './limits.ts';
import type { Id } from './ports.ts';

/** Operators that a network begins with. */
export const OPERATORS_MAX = 4096;
const LIST_MAX = 256;

/**
 * What all nodes of a network agree on before the first block; the chain is trusted by the CID of
 * this object (wire.md, "Block"). Everything that must be equal everywhere is here; pacing and
 * limits of one node are not.
 */
export interface Genesis {
  readonly name: string;
  readonly committee: readonly Validator[];
  readonly operators: readonly Id[];
  /**
   * When the network was made, milliseconds since the Unix epoch: the time of the blocks at round
   * 0.
   */
  readonly created_ms: number;
  /** Event kinds that are active, sorted. */
  readonly kinds: readonly string[];
  /** Active projections with their versions, sorted by name. */
  readonly projections: readonly (readonly [string, number])[];
  /**
   * Name of the policy: `members/1` lets every member author every active kind; else the version of
   * the engine that decides by the policies on the ledger, e.g. `cedar/4.13.0/9ed10461f45bceab`.
   */
  readonly policy: string;
  /** 16 to 64 fresh bytes: two networks of the same make differ. */
  readonly salt: Uint8Array;
}

/** No policies on the ledger: members may author, and each projection has its own rules. */
export const MEMBERS_POLICY = 'members/1';
const ENGINE = /^cedar\/[0-9.]{1,24}\/[0-9a-f]{16}$/;

const KNOWN = new Set([
  't',
  'v',
  'name',
  'committee',
  'operators',
  'parameters',
  'kinds',
  'projections',
  'policy',
  'salt',
]);
const KNOWN_VALIDATOR = new Set(['actor', 'cosekey', 'peer', 'stake']);
const KNOWN_PARAMETERS = new Set(['created_ms']);

export function encodeGenesis(genesis: Genesis): Uint8Array {
  return encode({
    t: 'genesis',
    v: 1,
    name: genesis.name,
    committee: encodeValidators(genesis.committee),
    operators: genesis.operators.map(bytesOf),
    parameters: { created_ms: genesis.created_ms },
    kinds: genesis.kinds,
    projections: genesis.projections,
    policy: genesis.policy,
    salt: genesis.salt,
  });
}

/** Reads a genesis object and checks that keys and actors fit; throws coded errors. */
export function decodeGenesis(bytes: Uint8Array): Genesis {
  const fields = field.fieldsOf(decode(bytes), KNOWN, 'genesis');
  field.assertTag(fields, 'genesis');
  const parameters = field.fieldsOf(fields['parameters'], KNOWN_PARAMETERS, 'set of parameters');
  const salt = field.bytesOfField(fields, 'salt', 64);
  if (salt.length < 16) fail('out_of_range', 'salt has at least 16 bytes.', { field: 'salt' });
  const committee = decodeValidators(fields['committee']);
  for (const { actor, coseKey } of committee) {
    if (keyId(coseKey) === actor) continue;
    fail('bad_committee', "A validator's actor is the SHA-256 of its first key.", { actor });
  }
  const genesis: Genesis = {
    name: field.textOfField(fields, 'name', 64),
    committee,
    operators: field
      .listOf(fields['operators'], 'operators', OPERATORS_MAX)
      .map((actor) => field.asDigest(actor, 'operators')),
    created_ms: field.integerOf(parameters, 'created_ms', 0, 2 ** 48 - 1),
    kinds: field.listOf(fields['kinds'], 'kinds', LIST_MAX).map(asText),
    projections: field.listOf(fields['projections'], 'projections', LIST_MAX).map(decodeProjection),
    policy: field.textOfField(fields, 'policy', 64),
    salt,
  };
  if (genesis.policy !== MEMBERS_POLICY && !ENGINE.test(genesis.policy)) {
    fail(
      'unknown_policy',
      'This network runs a policy that this software does not know: update it.',
      {
        policy: genesis.policy,
      },
    );
  }
  // the committee checks its own form
  return { ...genesis, committee: new Committee(0, committee).validators };
}

function asText(value: unknown): string {
  return field.textOfField({ item: value }, 'item', 64);
}

/**
 * Reads a decoded list of validators, as `encodeValidators` makes it; throws coded errors. From
 * epoch 1 on a validator's key may be another than the one that its actor is named after.
 */
export function decodeValidators(value: unknown): Validator[] {
  return field.listOf(value, 'committee', COMMITTEE_MAX).map(decodeValidator);
}

function decodeValidator(value: unknown): Validator {
  const fields = field.fieldsOf(value, KNOWN_VALIDATOR, 'validator');
  const coseKey = field.bytesOfField(fields, 'cosekey', 4096);
  publicKeyOf(coseKey);
  return {
    actor: field.digestOf(fields, 'actor'),
    coseKey,
    peer: field.textOfField(fields, 'peer', 128),
    stake: field.integerOf(fields, 'stake', 1, 1),
  };
}

function decodeProjection(value: unknown): readonly [string, number] {
  const pair = field.listOf(value, 'projections', 2);
  return [asText(pair[0]), field.asInteger(pair[1], 'projections', 1, 0xffff)];
}

/** The chain's id: the CID of the genesis object. */
export function chainOf(genesisBytes: Uint8Array): Id {
  return idOf(genesisBytes);
}

/**
 * The id of the block that stands for `author` at round 0 of an epoch. It carries nothing and is
 * never sent. From epoch 1 on it names the last checkpoint of the epoch before (consensus.md 2.10).
 */
export function genesisBlockId(chain: Id, committee: Committee, author: number): Id {
  return idOf(
    encode({
      t: 'genesis-block',
      v: 1,
      chain: linkOf(chain),
      epoch: committee.epoch,
      committee: bytesOf(committee.id),
      author,
      ...(committee.base !== undefined && { checkpoint: linkOf(committee.base) }),
    }),
  );
}
