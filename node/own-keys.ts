import type { Core } from '#ledger/core.ts';
import { X0tError, codeOf } from '#ledger/errors.ts';
import { heldKey } from '#ledger/held-keys.ts';
import type { HeldKey, Self } from '#ledger/held-keys.ts';
import type { FinalEvent } from '#ledger/fold.ts';
import type { Log } from '#ledger/ports.ts';
import { KEY_KINDS } from '#ledger/rotation.ts';
import { VERDICTS } from '#ledger/verdicts.ts';
import { PROOFS_MAX } from './hello.ts';
import type { HelloKeys } from './hello.ts';
import type { BadKeyFile, Keyring } from './keyring.ts';

/** What the ledger of a running node says of its own keys. */

/** The key that signs for this node now, where it is held. */
export function presentKey(core: Pick<Core, 'replica'>, self: Self): HeldKey | undefined {
  const id = core.replica.fold.reducer.keyOf(self.actor) ?? self.actor;
  return heldKey(self, id);
}

/** What the hellos of a node need of its ledger, once that is open. */
interface Opened {
  readonly core?: Pick<Core, 'replica'>;
}

/**
 * For hellos; before the ledger is open every actor has its first key.
 *
 * A lost store or a restored backup may lack any number of rotations, and a hello has room for few
 * keys. So from one hello to the next the node goes through those that its ledger does not know,
 * newest first; the one that its committee names keeps every other turn, for peers that stand
 * before the rotation that this node knows of.
 */
export function helloKeys(
  opened: Opened,
  self: Self,
  keyring: Pick<Keyring, 'newestFirst' | 'get'>,
): HelloKeys {
  let turn = 0;
  return {
    stateOf(actor, key) {
      return opened.core?.replica.fold.reducer.keyState({ actor, key }) ?? 'foreign';
    },
    ownerOf: (key) => opened.core?.replica.fold.reducer.actorOfKey(key),
    own() {
      const { core } = opened;
      if (!core) return [self];
      const { committee, fold } = core.replica;
      const author = committee.indexOf(self.actor);
      const seat = author === undefined ? undefined : heldKey(self, committee.keyIdAt(author));
      const present = presentKey(core, self);
      // what the ledger does not know yet may be bound where this node has not come to
      const fresh = keyring.newestFirst.flatMap((id) => {
        const isFresh = fold.reducer.keyState({ actor: self.actor, key: id }) === 'foreign';
        return isFresh ? (keyring.get(id) ?? []) : [];
      });
      const sure = [...new Set([present, seat].filter((key) => key !== undefined))];
      const found = inTurn(sure, fresh, turn);
      turn += 1;
      return found.length > 0 ? found : [self];
    },
  };
}

/** The keys of one hello, the likeliest first; over the turns each of them is among the first. */
function inTurn(
  sure: readonly HeldKey[],
  fresh: readonly HeldKey[],
  turn: number,
): readonly HeldKey[] {
  const room = PROOFS_MAX - sure.length;
  if (fresh.length === 0 || (room < 1 && turn % 2 === 0)) return [...sure, ...fresh];
  const step = Math.max(1, room);
  const first = ((room < 1 ? (turn - 1) / 2 : turn) * step) % fresh.length;
  const [present, ...others] = sure;
  const next = [...fresh.slice(first), ...fresh.slice(0, first)];
  return room < 1 ? [present as HeldKey, ...next, ...others] : [...sure, ...next];
}

/**
 * A key file that does not open may be the one that the node needs: throws its error, or
 * `key_not_held`, where the present key or the one of the seat is not here.
 */
export function assertOwnKeys(
  core: Pick<Core, 'replica'>,
  self: Self,
  keyring: Pick<Keyring, 'bad' | 'fileOf'>,
): void {
  const { bad } = keyring;
  const { committee, fold } = core.replica;
  const author = committee.indexOf(self.actor);
  const seat = author === undefined ? undefined : committee.keyIdAt(author);
  for (const id of [fold.reducer.keyOf(self.actor), seat]) {
    if (bad.length === 0 || id === undefined || heldKey(self, id)) continue;
    const own = bad.find(({ file }) => file === keyring.fileOf(id));
    if (own) throw own.error;
    const message = 'A key of this node is not here, and files of `keys` cannot be opened.';
    const files = bad.map(({ file, code }) => `${file}: ${code}`);
    throw new X0tError('key_not_held', message, { actor: self.actor, key: id, files });
  }
}

/** How often new key files are looked for: who rotates waits for it. Reads names only. */
const LOOK_MS = 1000;

/**
 * Reads new key files while the node runs: the command that rotates makes one beside it, and binds
 * it only after this node shows that it can sign with it. Says so when the ledger changes the keys
 * of this node. The returned function ends it.
 */
export function followOwnKeys(core: Core, self: Self, keyring: Keyring, log: Log): () => void {
  let trouble: string | undefined;
  const told = new WeakSet<BadKeyFile>();
  let looking: Promise<void> | undefined;
  const look = async (): Promise<void> => {
    looking ??= lookOnce();
    await looking;
  };
  const lookOnce = async (): Promise<void> => {
    try {
      if (await keyring.refresh()) core.keysChanged();
      trouble = undefined;
      for (const one of keyring.bad) {
        if (!told.has(one)) log.error({ file: one.file, code: one.code }, 'a key file is left out');
        told.add(one);
      }
    } catch (error) {
      const code = codeOf(error);
      if (code !== trouble) log.error({ code }, 'a key of this node cannot be read');
      trouble = code;
    } finally {
      looking = undefined;
    }
  };
  const lookAndTell = async (): Promise<void> => {
    await look();
    tell(core, self, log);
  };
  const timer = setInterval(() => void look(), LOOK_MS);
  timer.unref();
  const unfollow = core.onFinal((events) => {
    if (events.some((event) => isAboutKeysOf(event, self.actor))) void lookAndTell();
  });
  return () => {
    clearInterval(timer);
    unfollow();
  };
}

function tell(core: Core, self: Self, log: Log): void {
  const key = core.replica.fold.reducer.keyOf(self.actor);
  if (key === undefined) log.error({}, "this node's key is revoked: what it says does not count");
  else if (heldKey(self, key)) log.info({ key }, 'the ledger names the key of this node');
  else log.error({ key }, 'the ledger binds a key to this node that it does not hold');
}

function isAboutKeysOf({ entry: { event }, verdict }: FinalEvent, actor: string): boolean {
  if (verdict !== VERDICTS.applied || !KEY_KINDS.has(event.kind)) return false;
  const named = event.body['actor'];
  return event.actor === actor || (named instanceof Uint8Array && named.toHex() === actor);
}
