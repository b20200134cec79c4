import type { Block } from './block.ts';
import { decode, encode } from './codec.ts';
import { encodeCommit } from './commit.ts';
import type { Commit } from './commit.ts';
import { Committee } from './committee.ts';
import { Cuts } from './cuts.ts';
import { fail } from './errors.ts';
import type { Entry } from './event.ts';
import { MEMBERS_POLICY, chainOf, encodeGenesis } from './genesis.ts';
import type { Genesis } from './genesis.ts';
import type { Ref } from './header.ts';
import { bytesOf, idOf, sha256 } from './ids.ts';
import { encodeFinalRow, encodeNumber, storeKeys } from './keys.ts';
import { Kinds } from './kinds.ts';
import { TREE_LEVEL_MIN, finalLeaf } from './log-tree.ts';
import { MerkleLog } from './merkle.ts';
import type { Hash } from './merkle.ts';
import type { OrdererState } from './orderer.ts';
import type { Id, PolicyDecision, StoreOp } from './ports.ts';
import type { Seats } from './projection.ts';
import { Reducer } from './reducer.ts';
import type { Digests, Schema } from './reducer.ts';
import { Overlay } from './rows.ts';
import type { Readable } from './rows.ts';
import { StateHash } from './state-hash.ts';
import { VERDICTS } from './verdicts.ts';

/** An event that became final. */
export interface FinalEvent {
  readonly seq: number;
  readonly verdict: number;
  readonly entry: Entry;
  readonly commit: number;
  readonly ts_ms: number;
  readonly block: Ref;
  /** What the policies said as it was applied, where they were asked; not hashed, not kept. */
  readonly decision?: PolicyDecision;
}

/** What two replicas compare: after the same final events all of it is equal. */
export interface Summary {
  /** Number of final events. */
  readonly size: number;
  /** RFC 9162 root over the leaves (event id ‖ verdict). */
  readonly logRoot: Id;
  /** Hash over the projections' roots and the replay windows (wire.md, "Verdicts"). */
  readonly stateRoot: Id;
  readonly projections: readonly {
    readonly name: string;
    readonly version: number;
    readonly root: Id;
  }[];
}

interface Saved {
  readonly size: number;
  readonly peaks: readonly Uint8Array[];
  readonly cursor: readonly [number, number] | null;
  readonly last: readonly [number, Uint8Array, number, number];
}

/**
 * The fold of commits into state: final log, replay windows, projections and their digests.
 * Everything it changes is collected in one overlay and handed over by `ops`, so that a commit is
 * applied in one atomic batch or not at all.
 */
export class Fold {
  readonly reducer: Reducer;
  readonly kinds: Kinds;
  /** Where the log is cut into checkpoints. */
  readonly cuts: Cuts;
  readonly #overlay: Overlay;
  readonly #schema: Schema;
  readonly #log: MerkleLog;
  readonly #hashes: ReadonlyMap<string, StateHash>;
  readonly #orderer: OrdererState | undefined;
  #seats: Seats | undefined;

  /** Goes on where the store stands; a store without a fold starts from the genesis. */
  constructor(store: Readable, genesis: Genesis, schema: Schema) {
    this.#overlay = new Overlay(store);
    this.#schema = schema;
    this.kinds = new Kinds(schema.projections.flatMap(({ kinds }) => kinds));
    assertGenesisFits(genesis, schema);
    const saved = store.get(storeKeys.fold);
    this.cuts = new Cuts(this.#overlay, chainOf(encodeGenesis(genesis)), !saved);
    const names = [REPLAY, ...schema.projections.map(({ name }) => name)];
    this.#hashes = new Map(
      names.map(
        (name) => [name, new StateHash(saved && store.get(storeKeys.stateHash(name)))] as const,
      ),
    );
    const digests: Digests = {
      replay: this.#hash(REPLAY),
      ofProjection: (name) => this.#hash(name),
    };
    this.reducer = new Reducer(schema, this.kinds, this.#overlay, digests);
    if (saved) {
      const state = decode(saved) as Saved;
      this.#log = new MerkleLog(state.size, state.peaks);
      const [index, id, ts_ms, leaderRound] = state.last;
      const cursor = state.cursor ? { round: state.cursor[0], author: state.cursor[1] } : undefined;
      this.#orderer = { cursor, last: { index, id: id.toHex(), ts_ms, leaderRound } };
    } else {
      this.#log = new MerkleLog();
      for (const projection of schema.projections) {
        projection.start(genesis, this.reducer.rowsOf(projection.name));
      }
    }
  }

  #hash(name: string): StateHash {
    return this.#hashes.get(name) as StateHash;
  }

  /** Where the orderer stood when the fold was last saved. */
  get ordererState(): OrdererState | undefined {
    return this.#orderer;
  }

  /**
   * The committee of the epoch in which the next commit stands. After the last commit of an epoch
   * that is the next epoch's (consensus.md 2.10).
   */
  get seats(): Seats {
    const { members } = this.#schema;
    this.#seats ??= members.seats(this.reducer.rowsOf(members.name));
    return this.#seats;
  }

  /** Whether the log holds evidence of equivocation against an author of an epoch. */
  isConvicted(epoch: number, author: number): boolean {
    const { members } = this.#schema;
    return members.isConvicted(epoch, author, this.reducer.rowsOf(members.name));
  }

  /** Number of final events. */
  get size(): number {
    return this.#log.size;
  }

  /** Reads through what is not written yet. */
  get readable(): Readable {
    return this.#overlay;
  }

  /** Reads the same rows from elsewhere from now on: the store's are being replaced. */
  readFrom(store: Readable): void {
    this.#overlay.readFrom(store);
  }

  /** Whether the event has a place in the final log. */
  isFinal(id: Id): boolean {
    return this.#overlay.get(storeKeys.finalOfEvent(id)) !== undefined;
  }

  /** The same as `isFinal`, mostly without a look into the store. */
  isFinalEntry({ id, event }: Pick<Entry, 'id' | 'event'>): boolean {
    return !this.reducer.isUnused(event) && this.isFinal(id);
  }

  /**
   * Applies a commit whose blocks are given in its order. Returns the events that became final, in
   * order.
   */
  apply(commit: Commit, blocks: readonly Pick<Block, 'ref' | 'entries'>[]): FinalEvent[] {
    const finals: FinalEvent[] = [];
    for (const block of blocks) {
      for (const [index, entry] of block.entries.entries()) {
        const final = this.#applyEntry(commit, block.ref, index, entry);
        if (final) finals.push(final);
      }
    }
    this.#overlay.put(storeKeys.commit(commit.index), encodeCommit(commit));
    if (finals.length === 0) return finals;
    const { members } = this.#schema;
    const authors = new Set(blocks.map(({ ref }) => ref.author));
    if (members.endCommit(this.reducer.rowsOf(members.name), authors)) {
      this.#seats = undefined;
      const { epoch, validators } = this.seats;
      this.cuts.endEpoch(commit, this.summary(), new Committee(epoch, validators));
    } else this.cuts.after(commit, this.size, () => this.summary());
    return finals;
  }

  /**
   * Cuts a checkpoint where the log stands, outside the chain; returns the rows to write, none
   * where there is nothing to cut.
   */
  cutIdle(): StoreOp[] {
    const row = this.cuts.idle(this.summary());
    return row ? [row] : [];
  }

  /** The tree's nodes, for proofs. */
  readonly #keepNode = (level: number, index: number, node: Hash): void => {
    if (level >= TREE_LEVEL_MIN) this.#overlay.put(storeKeys.treeNode(level, index), node);
  };

  #applyEntry(commit: Commit, block: Ref, index: number, entry: Entry): FinalEvent | undefined {
    const seq = this.#log.size + 1;
    const { event } = entry;
    const isRepeated =
      !this.reducer.isUnused(event) && this.reducer.remembers(entry.id, seq) !== undefined;
    if (isRepeated || !this.reducer.counts(event)) return undefined;
    const name = this.reducer.apply({ id: entry.id, event: entry.event, seq, ts_ms: commit.ts_ms });
    const verdict = VERDICTS[name];
    this.#log.append(finalLeaf(entry.id, verdict), this.#keepNode);
    const row = encodeFinalRow({
      id: entry.id,
      verdict,
      commit: commit.index,
      block,
      entry: index,
    });
    this.#overlay.put(storeKeys.final(seq), row);
    this.#overlay.put(storeKeys.finalOfEvent(entry.id), encodeNumber(seq));
    const { decision } = this.reducer;
    const final = { seq, verdict, entry, commit: commit.index, ts_ms: commit.ts_ms, block };
    return decision ? { ...final, decision } : final;
  }

  /** All that changed since the last `written`, with the state to go on from. */
  ops(state: OrdererState): StoreOp[] {
    const ops = this.#overlay.ops();
    ops.push({ type: 'put', key: storeKeys.fold, value: encodeFold(this.#log, state) });
    for (const [name, hash] of this.#hashes) {
      if (hash.isChanged) {
        ops.push({ type: 'put', key: storeKeys.stateHash(name), value: hash.bytes() });
      }
    }
    return ops;
  }

  /** What `ops` gave, if it was called, is in the store. */
  written(): void {
    this.#overlay.written();
  }

  summary(): Summary {
    const projections = this.#schema.projections.map(({ name, version }) => ({
      name,
      version,
      root: this.#hash(name).root().toHex(),
    }));
    return {
      size: this.size,
      logRoot: this.#log.root().toHex(),
      stateRoot: stateRootOf(projections, this.#hash(REPLAY).root()),
      projections,
    };
  }

  /** A view of the same state whose changes are thrown away: for the `accepted` level. */
  scratch(): Reducer {
    return new Reducer(this.#schema, this.kinds, new Overlay(this.#overlay));
  }
}

/** The row that says where a fold stands. */
export function encodeFold(log: MerkleLog, { cursor, last }: OrdererState): Uint8Array {
  const saved: Saved = {
    size: log.size,
    peaks: log.peaks,
    cursor: cursor ? [cursor.round, cursor.author] : null,
    last: [last.index, bytesOf(last.id), last.ts_ms, last.leaderRound],
  };
  return encode(saved);
}

/** The state root: hash over the projections' roots and that of the replay windows (wire.md). */
export function stateRootOf(projections: Summary['projections'], replay: Uint8Array): Id {
  const roots = projections.map(({ name, version, root }) => [name, version, bytesOf(root)]);
  return idOf(encode({ t: 'state', v: 1, projections: roots, replay }));
}

/** Name of the digest over the replay windows; no projection may have it. */
export const REPLAY = 'replay';

/**
 * The genesis names the same kinds and projection versions that run here; else the state would
 * differ.
 */
function assertGenesisFits(genesis: Genesis, schema: Schema): void {
  const kinds = schema.projections.flatMap((one) => one.kinds.map(({ kind }) => kind)).toSorted();
  const projections = schema.projections.map(({ name, version }) => `${name}/${version}`);
  const wanted = genesis.projections.map(([name, version]) => `${name}/${version}`);
  if (kinds.join() !== genesis.kinds.join() || projections.join() !== wanted.join()) {
    fail(
      'schema_mismatch',
      'This network runs other kinds or projection versions than this software: use its release.',
      {
        kinds: genesis.kinds,
        projections: wanted,
      },
    );
  }
  const engine = schema.policy?.engine ?? MEMBERS_POLICY;
  if (genesis.policy !== engine) {
    const message = 'This network decides by another policy engine: use its release.';
    fail('policy_engine_differs', message, { network: genesis.policy, engine });
  }
}

/** SHA-256 of a summary in one value, for people to compare. */
export function summaryHash({ size, logRoot, stateRoot }: Summary): Id {
  return sha256(encode({ size, logRoot: bytesOf(logRoot), stateRoot: bytesOf(stateRoot) })).toHex();
}
