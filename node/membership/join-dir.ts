import { existsSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { signStatement } from '#governance/participant.ts';
import { openChain } from '#ledger/chain.ts';
import { X0tError, codeOf, fail } from '#ledger/errors.ts';
import { decodeEntry } from '#ledger/event.ts';
import { textOf } from '#ledger/ids.ts';
import { JOIN_KIND, peerStatement, readJoin } from '#ledger/join.ts';
import type { JoinBody } from '#ledger/join.ts';
import { generatePeerKey, peerNameOf, signAsPeer } from '#p2p/index.ts';
import type { PartialConfig } from '#node/config.ts';
import { finishDataDir } from '#node/data-dir.ts';
import type { NodeKeys } from '#node/data-dir.ts';
import { dataPaths, isInitialised } from '#node/data-paths.ts';
import { proveUse } from './invite-token.ts';
import type { Token } from './invite-token.ts';
import { JoinAttempt } from './join-attempt.ts';
import { readPendingJoin, writePendingJoin } from './join-file.ts';
import type { PendingJoin } from './join-file.ts';
import { askToJoin, isFinal } from './joiner.ts';
import type { JoinReply } from './join-exchange.ts';
import { createKeyFile, readKeyFile } from '#node/keys.ts';
import type { ActorKey } from '#node/keys.ts';
import type { PassphraseSource } from '#node/passphrase.ts';
import { readSecret, writeNewSecret } from '#node/private-file.ts';
import { systemClock } from '#node/system.ts';

/**
 * A new member's data directory, from nothing but a token. Each step is kept before the next one,
 * so that a process that was killed anywhere goes on where it was: keys, then the signed event,
 * then the genesis of a member that took the event.
 */

const ASK_AGAIN_MS = 1000;

/** Roles that are those of a node; others only sign. */
const OF_NODES = new Set(['auditor', 'observer', 'validator']);

export function needsNode({ invite }: Pick<Token, 'invite'>): boolean {
  return invite.roles.some((role) => OF_NODES.has(role));
}

/** What is said of the way, e.g. to a person who waits. */
export type Tell = (what: string) => void;

export interface JoinOptions {
  readonly directory: string;
  readonly token: Token;
  readonly config: PartialConfig;
  /** For new keys; `undefined`: not encrypted. */
  readonly passphrase: PassphraseSource | undefined;
  /** For keys that are there. */
  readonly opener: PassphraseSource;
  readonly tell: Tell;
  readonly stopped: AbortSignal;
}

/**
 * Makes the directory, or completes it. Afterwards a node can start in it; it is a member as soon
 * as its event is final. Throws `join_refused` with the reason, `not_empty`,
 * `data_dir_other_network` and `genesis_foreign`.
 */
export async function prepareToJoin(options: JoinOptions): Promise<NodeKeys> {
  const attempt = new JoinAttempt();
  try {
    return await prepare(options, attempt);
  } catch (error) {
    throw await attempt.ended(error);
  }
}

async function prepare(options: JoinOptions, attempt: JoinAttempt): Promise<NodeKeys> {
  const { directory, token, config, tell, stopped } = options;
  const paths = dataPaths(directory);
  const isThere = isInitialised(directory);
  if (isThere && openChain(await readFile(paths.genesis)).id !== token.invite.chain) {
    fail('data_dir_other_network', 'This directory is of a node of another network.', {
      directory,
    });
  }
  const keys = await keysIn(options, attempt);
  const known = await readPendingJoin(directory);
  // once the genesis is here, a missing file says that the node is on the ledger
  if (isThere && !known) return keys;
  const isSame = known && inviteIn(known) === token.id;
  const pending = isSame ? known : await pendingOf(token, keys, keys);
  if (!isSame) {
    const before = known && (() => writePendingJoin(directory, known));
    await attempt.file(paths.join, () => writePendingJoin(directory, pending), before);
  }
  if (isThere && isSame) return keys;
  const { genesis } = await untilTaken(
    pending, keys.peerKey, { token, attempt, tell, stopped },
  );
  const bootstrap = [...new Set([...token.invite.addrs, ...(config.p2p?.bootstrap ?? [])])];
  if (!isThere) {
    await finishDataDir(directory, genesis, { ...config, p2p: { ...config.p2p, bootstrap } });
  }
  return keys;
}

/** Who only signs: `make` gives the key, the event is handed over and awaited until it is final. */
export async function joinAsSigner(
  make: (attempt: JoinAttempt) => Promise<ActorKey>,
  { token, tell, stopped }: Pick<JoinOptions, 'token' | 'tell' | 'stopped'>,
): Promise<ActorKey> {
  const attempt = new JoinAttempt();
  try {
    const key = await make(attempt);
    await signerTaken(key, { token, attempt, tell, stopped });
    return key;
  } catch (error) {
    throw await attempt.ended(error);
  }
}

async function signerTaken(key: ActorKey, way: Way): Promise<void> {
  const peerKey = await generatePeerKey();
  const pending = await pendingOf(way.token, key, undefined);
  for (;;) {
    const reply = await untilTaken(pending, peerKey, way);
    if (reply.state === 'member') return;
    await sleep(ASK_AGAIN_MS, undefined, { signal: way.stopped });
  }
}

/** The event that a node (or who only signs) hands over. */
export async function pendingOf(
  token: Token,
  key: ActorKey,
  node: Pick<NodeKeys, 'peer' | 'peerKey'> | undefined,
): Promise<PendingJoin> {
  const { chain, addrs } = token.invite;
  const body: JoinBody = {
    key: key.coseKey,
    invite: Uint8Array.fromHex(token.id),
    inviteKey: token.key.coseKey,
    proof: await proveUse(token, key.actor),
    ...(node && {
      peer: node.peer,
      peerProof: signAsPeer(node.peerKey, peerStatement(chain, key.actor, node.peer)),
    }),
  };
  const entry = await signStatement(key, {
    chain,
    lane: 0,
    seq: 0,
    kind: JOIN_KIND,
    body: { ...body },
    wall_ms: systemClock.wall_ms(),
  });
  return { message: { chain, join: { entry: entry.bytes, coseKey: key.coseKey } }, addrs };
}

function inviteIn({ message }: PendingJoin): string | undefined {
  return readJoin(decodeEntry(message.join.entry).event.body)?.invite.toHex();
}

interface Way extends Pick<JoinOptions, 'token' | 'tell' | 'stopped'> {
  readonly attempt: JoinAttempt;
}

async function untilTaken(
  pending: PendingJoin,
  peerKey: Uint8Array,
  { token: { invite }, attempt, tell, stopped }: Way,
): Promise<JoinReply> {
  for (;;) {
    try {
      const reply = await askToJoin(pending, peerKey, (error) => attempt.missed(error));
      attempt.taken();
      if (openChain(reply.genesis).id !== invite.chain) {
        fail('genesis_foreign', 'The member shows another genesis than the invite names.', {
          chain: textOf(invite.chain),
        });
      }
      tell(reply.state);
      return reply;
    } catch (error) {
      if (isFinal(error) || !PASSING.has(codeOf(error))) throw error;
      const { message, data } = error as X0tError;
      if (systemClock.wall_ms() > invite.notAfter_ms) {
        throw new X0tError(codeOf(error), message, { ...data, isPassing: true }, { cause: error });
      }
      tell(String(data['reason'] ?? codeOf(error)));
    }
    await sleep(ASK_AGAIN_MS, undefined, { signal: stopped });
  }
}
/** A member that cannot be reached, or has no time: it is asked again. */
const PASSING = new Set(['join_refused', 'join_timeout', 'peer_gone', 'protocol_unsupported']);

/** The keys of the directory; each that is missing is made. Throws `not_empty`. */
async function keysIn(
  { directory, passphrase, opener }: JoinOptions,
  attempt: JoinAttempt,
): Promise<NodeKeys> {
  await attempt.directory(directory);
  const paths = dataPaths(directory);
  if (!existsSync(paths.key) && (await readdir(directory)).length > 0) {
    fail('not_empty', 'The directory is not empty: choose another.', { directory });
  }
  const key = existsSync(paths.key)
    ? await readKeyFile(paths.key, undefined, opener)
    : await attempt.file(paths.key, () => createKeyFile(paths.key, passphrase));
  if (!existsSync(paths.peerKey)) {
    const fresh = await generatePeerKey();
    await attempt.file(paths.peerKey, () => writeNewSecret(paths.peerKey, fresh, passphrase));
  }
  const peerKey = await readSecret(paths.peerKey, opener);
  return { ...key, peerKey, peer: peerNameOf(peerKey) };
}

/** A stop that was asked for while waiting is none of the errors. */
export function isStopped(error: unknown): boolean {
  return !(error instanceof X0tError) && (error as Error).name === 'AbortError';
}
