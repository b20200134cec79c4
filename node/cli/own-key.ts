import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { keyId } from '#ledger/cose.ts';
import { fail } from '#ledger/errors.ts';
import type { HeldKey } from '#ledger/held-keys.ts';
import type { Id } from '#ledger/ports.ts';
import type { Client, MembersJson } from '#node/client.ts';
import { dataPaths } from '#node/data-paths.ts';
import type { Keyring } from '#node/keyring.ts';
import { createNextKeyFile, readKeyFile } from '#node/keys.ts';
import { isSealedFile } from '#node/private-file.ts';
import { newKeysPassphrase, passphraseOf } from './passphrases.ts';
import type { PassphraseOption } from './passphrases.ts';
import type { DataOption } from './places.ts';
import { LANE_BESIDE_NODE } from './signing.ts';
import type { SigningKey } from './signing.ts';
import type { WritingOptions } from './writing.ts';

/** Which key signs for an actor now, and which is to be its next: the ledger and the files say. */

export interface RotateOptions extends WritingOptions {
  readonly out?: string;
}

type MemberJson = MembersJson['members'][number];
export type KeyJson = NonNullable<MemberJson['keys']>[number];

/** A key that signs now, and the one that shall sign next. */
interface Pair {
  readonly present: SigningKey;
  readonly next: HeldKey;
  /** Where the new key is. */
  readonly file: string;
  readonly lane?: number;
}

/** Throws `no_member`. */
export function memberOf({ members }: MembersJson, actor: string): MemberJson {
  const found = members.find((one) => one.actor === actor);
  return found ?? fail('no_member', 'This actor is no member of the network.', { actor });
}

/** The keys of a member, oldest first. */
export function keysOf({ actor, keys }: MemberJson): readonly KeyJson[] {
  return keys ?? [{ id: actor, state: 'present', since: 0 }];
}

export function describeKey({ state, since, until, revoked }: KeyJson): string {
  const span = until === undefined ? `from ${since}` : `from ${since} to ${until}`;
  return `${state}, ${span}${revoked === undefined ? '' : `, revoked at ${revoked}`}`;
}

function notHeld(actor: Id, key: Id): never {
  return fail('key_not_held', 'The ledger names another key for this actor than is here.', {
    actor,
    key,
  });
}

export function withoutKey(actor: Id): never {
  return fail('key_revoked', 'The key of this actor is revoked: an operator binds a new one.', {
    actor,
  });
}

interface OfNode {
  readonly present: SigningKey;
  readonly member: MemberJson;
  readonly keyring: Keyring;
}

async function ofNode(client: Client, options: DataOption & PassphraseOption): Promise<OfNode> {
  const { key: file } = dataPaths(options.data);
  // loaded when it is needed: libp2p comes with it
  const { readDataDir } = await import('#node/data-dir.ts');
  const { keyring, ...first } = await readDataDir(options.data, passphraseOf(options));
  const { actor } = first;
  const member = memberOf(await client.members(), actor);
  const id = member.key ?? withoutKey(actor);
  const isFirst = keyId(first.coseKey) === id;
  const { coseKey, signer } = isFirst ? first : (keyring.get(id) ?? notHeld(actor, id));
  return { present: { actor, coseKey, signer, file }, member, keyring };
}

/** The key with which the node of the data directory signs now. */
export async function presentOfNode(
  client: Client,
  options: DataOption & PassphraseOption,
): Promise<SigningKey> {
  return (await ofNode(client, options)).present;
}

/**
 * Of a node: the present key as the ledger says, and a further one. One that an interrupted
 * rotation has left in the directory serves, so that the command can be given again.
 */
export async function keysOfNode(client: Client, options: RotateOptions): Promise<Pair> {
  const { present, member, keyring } = await ofNode(client, options);
  const known = new Set(keysOf(member).map(({ id }) => id));
  const left = [...keyring.held].find(([id]) => !known.has(id));
  const isSealed = await isSealedFile(present.file);
  const next = left?.[1] ?? (await keyring.create(isSealed ? passphraseOf(options) : undefined));
  await untilRead(client, present.actor, keyId(next.coseKey));
  return { present, next, file: keyring.fileOf(keyId(next.coseKey)), lane: LANE_BESIDE_NODE };
}

/** A node looks for new keys every second, and opening an encrypted one takes another. */
const READ_MS_MAX = 30_000;
const LOOK_MS = 200;

/**
 * Waits until the node that is asked, where it is the actor's, can sign with its next key: one that
 * is bound before would leave it without. A node elsewhere cannot be asked. Throws `key_not_read`.
 */
export async function untilRead(client: Client, actor: Id, key: Id): Promise<void> {
  for (let waited_ms = 0; waited_ms < READ_MS_MAX; waited_ms += LOOK_MS) {
    const status = await client.status();
    if (status.actor !== actor || status.heldKeys?.includes(key)) return;
    await sleep(LOOK_MS);
  }
  fail('key_not_read', 'The node has not read its new key, nothing was changed: see its log.', {
    key,
  });
}

/** Of a participant: its key file, and the new one, which may be left of an earlier try. */
export async function keysOfFile(
  client: Client,
  file: string,
  options: RotateOptions,
): Promise<Pair> {
  const { out } = options;
  if (out === undefined) return fail('usage', 'Name the file of the new key with --out FILE.');
  const passphrase = passphraseOf(options);
  const present = await readKeyFile(file, undefined, passphrase);
  const { actor } = present;
  const id = memberOf(await client.members(), actor).key ?? withoutKey(actor);
  if (keyId(present.coseKey) !== id) notHeld(actor, id);
  const isSealed = await isSealedFile(file);
  const fresh = isSealed ? passphrase : newKeysPassphrase(options);
  const next = existsSync(out)
    ? await readKeyFile(out, undefined, passphrase)
    : await createNextKeyFile(() => out, actor, fresh);
  if (next.actor !== actor) {
    fail('key_of_other', 'The file holds a key of another actor: name one that is not there.', {
      file: out,
      actor: next.actor,
    });
  }
  return { present: { ...present, file }, next, file: out };
}
