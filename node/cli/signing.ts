import { randomInt } from 'node:crypto';
import { existsSync } from 'node:fs';
import { openChain } from '#ledger/chain.ts';
import { signStatement } from '#governance/participant.ts';
import { X0tError, codeOf, fail } from '#ledger/errors.ts';
import type { Body, Entry } from '#ledger/event.ts';
import { LANE_WINDOW } from '#ledger/limits.ts';
import type { Id } from '#ledger/ports.ts';
import type { Client, Written } from '#node/client.ts';
import { ApiError } from '#node/client.ts';
import { assertNetwork } from '#node/key-network.ts';
import { readKeyFile } from '#node/keys.ts';
import type { ActorKey } from '#node/keys.ts';
import { passphraseOf } from './passphrases.ts';
import type { PassphraseOption } from './passphrases.ts';
import { systemClock } from '#node/system.ts';
import { operatorKeyFile } from './places.ts';
import type { DataOption } from './places.ts';

export interface SigningOptions extends DataOption, PassphraseOption {
  readonly key?: string;
}

/**
 * The lane of what the command line signs. Nodes use lane 0 of their own keys; this is another
 * actor.
 */
const LANE = 0;
/** The lane of what is signed with a node's own key here, apart from what the node says itself. */
export const LANE_BESIDE_NODE = 1;
/**
 * Tries to find a free sequence number, when others use the same key at the same time. Each is an
 * event of its own: whoever answers could keep all of them.
 */
const TRIES_MAX = 8;

/** A key that signs here, and the file that it was read from. */
export interface SigningKey extends ActorKey {
  readonly file: string;
}

/**
 * The key that `--key` names, else the operator's of the data directory; `undefined` where there is
 * none.
 */
export async function signingKey(options: SigningOptions): Promise<SigningKey | undefined> {
  const { key, data } = options;
  const file = key ?? operatorKeyFile(data);
  if (key === undefined && !existsSync(file)) return undefined;
  return readSigningKey(file, options);
}

export async function readSigningKey(
  file: string,
  options: PassphraseOption,
): Promise<SigningKey> {
  return { ...(await readKeyFile(file, undefined, passphraseOf(options))), file };
}

/** Where the signer is refused, the sentence names the key file: most often it is another's. */
function withKeyFile(error: unknown, keyFile: string): unknown {
  if (!(error instanceof ApiError) || error.code !== 'not_member') return error;
  const { status, code, data, requestId } = error;
  const message =
    `The key of ${keyFile} is no member of this node's network: ` +
    'name a key that is with --key, or the data directory of this network with --data.';
  return new ApiError(status, { code, message, detail: { ...data, keyFile }, requestId });
}

/**
 * The id of the network that a node serves, from the genesis object that it sends. Throws
 * `key_of_other_network` where the key signs for another one.
 */
export async function chainOf(client: Client, { file }: Pick<SigningKey, 'file'>): Promise<Id> {
  const { id } = openChain(await client.genesis());
  await assertNetwork(file, id);
  return id;
}

/**
 * Signs an event and hands it over. The sequence number is the present second and a little by
 * chance, so that no state is kept here: an actor's numbers stay within `LANE_WINDOW` for ten
 * minutes, however its events overtake each other. Where one turns out to be taken, which may
 * show only when the event is final, a higher one is signed. Throws what the node answers.
 */
export async function submitSigned(
  client: Client,
  key: SigningKey,
  kind: string,
  body: Body,
  isFinal: boolean,
  timeout_ms?: number,
  lane = LANE,
): Promise<Written> {
  const chain = await chainOf(client, key);
  let seq = freshSeq();
  for (let tries = 1; ; tries++) {
    const entry = await signAs(key, chain, seq, kind, body, lane);
    try {
      return await handOver(client, entry, key.coseKey, isFinal, timeout_ms);
    } catch (error) {
      const next = nextSeq(error, seq);
      if (next === undefined || tries === TRIES_MAX) throw withKeyFile(error, key.file);
      seq = next;
    }
  }
}

/** Signs an event for the network of a node without sending it. */
export async function signOnly(
  client: Client,
  key: SigningKey,
  kind: string,
  body: Body,
): Promise<Entry> {
  return signAs(key, await chainOf(client, key), freshSeq(), kind, body);
}

/** Others that use the key in the same second most likely take another number. */
const SPREAD = 256;
/**
 * So far ahead of the present second a lane may be, of a clock that was: what a node says beyond it
 * is not believed, since a number at the end of the range would end the lane for good.
 */
const AHEAD_MAX = 4 * LANE_WINDOW;

function freshSeq(): number {
  return Math.floor(systemClock.wall_ms() / 1000) + randomInt(SPREAD);
}

function signAs(
  key: ActorKey,
  chain: Id,
  seq: number,
  kind: string,
  body: Body,
  lane = LANE,
): Promise<Entry> {
  const wall_ms = systemClock.wall_ms();
  return signStatement(key, { chain, lane, seq, kind, body, wall_ms });
}

/** A higher number after a refusal because of the number; `undefined` for any other refusal. */
function nextSeq(error: unknown, seq: number): number | undefined {
  const code = codeOf(error);
  const verdict = error instanceof X0tError ? error.data['verdict'] : undefined;
  const isTaken = code === 'slot_pending' || (code === 'not_applied' && verdict === 'replayed');
  if (isTaken) return seq + 1 + randomInt(SPREAD);
  const highest = error instanceof ApiError ? error.data['highest'] : undefined;
  if (code !== 'replayed' || typeof highest !== 'number') return undefined;
  const present = Math.floor(systemClock.wall_ms() / 1000);
  return highest <= present + AHEAD_MAX ? Math.max(highest, seq) + 1 : undefined;
}

/**
 * Hands over a signed event; with `isFinal` throws `not_applied` where its verdict is another than
 * `applied`.
 */
export async function handOver(
  client: Client,
  entry: Entry,
  coseKey: Uint8Array,
  isFinal: boolean,
  timeout_ms?: number,
): Promise<Written> {
  const { id, state } = await client.submit(entry.bytes, coseKey);
  if (!isFinal) return { id, state };
  const { seq = 0, commit = 0, verdict = '' } = await client.waitFinal(id, timeout_ms);
  if (verdict !== 'applied') {
    fail('not_applied', 'The event is in the log and changed nothing: its verdict says why.', {
      id,
      seq,
      verdict,
    });
  }
  return { id, state: 'final', seq, verdict, commit };
}
