import { decode, encode } from './codec.ts';
import { fail } from './errors.ts';
import * as field from './fields.ts';
import { bytesOf, idOf, linkOf } from './ids.ts';
import type { Id } from './ports.ts';

/**
 * Checkpoints (wire.md, "Checkpoint, certificate, receipt"): what a prefix of the final log comes
 * to. A function of the final sequence only, so nodes that stand alike make the same bytes.
 */

/**
 * Why the prefix was cut here: `periodic` and `epoch` ones form the chain of `prev`; an `idle` one
 * covers the tail of a quiet log and is no member of it.
 */
export type Cut = 'periodic' | 'idle' | 'epoch';

/** What nodes compare, and sign once: equal slots must have equal ids. */
export interface CheckpointSlot {
  readonly epoch: number;
  /** Number of final events that it covers. */
  readonly size: number;
  readonly cut: Cut;
}

export interface CheckpointParts extends CheckpointSlot {
  readonly chain: Id;
  /** RFC 9162 root over the leaves (event id ‖ verdict) of the first `size` events. */
  readonly root: Id;
  /** State root after them (wire.md, "Verdicts"). */
  readonly state: Id;
  /** The last commit that made events final. */
  readonly commit: { readonly index: number; readonly id: Id };
  /** That commit's time, milliseconds since the Unix epoch. */
  readonly ts_ms: number;
  /** `Committee.id` of the next epoch; there exactly where `cut` is `epoch`. */
  readonly nextCommittee?: Id;
  /** The checkpoint before it in the chain; the genesis object for the first. */
  readonly prev: Id;
}

export interface Checkpoint extends CheckpointParts {
  /** CID of the object without signatures. */
  readonly id: Id;
  readonly bytes: Uint8Array;
}

const KNOWN = new Set([
  't',
  'v',
  'chain',
  'epoch',
  'cut',
  'size',
  'root',
  'state',
  'commit',
  'ts_ms',
  'nextCommittee',
  'prev',
]);
const CUTS = new Set<unknown>(['periodic', 'idle', 'epoch']);
const MOST = Number.MAX_SAFE_INTEGER;

/** The checkpoint with its canonical bytes. */
export function makeCheckpoint(parts: CheckpointParts): Checkpoint {
  const { chain, epoch, cut, size, root, state, commit, ts_ms, nextCommittee, prev } = parts;
  const bytes = encode({
    t: 'checkpoint',
    v: 1,
    chain: linkOf(chain),
    epoch,
    cut,
    size,
    root: bytesOf(root),
    state: bytesOf(state),
    commit: [commit.index, linkOf(commit.id)],
    ts_ms,
    ...(nextCommittee !== undefined && { nextCommittee: bytesOf(nextCommittee) }),
    prev: linkOf(prev),
  });
  return { ...parts, id: idOf(bytes), bytes };
}

/** Reads a checkpoint; throws coded errors for anything that wire.md does not allow. */
export function decodeCheckpoint(bytes: Uint8Array): Checkpoint {
  const fields = field.fieldsOf(decode(bytes), KNOWN, 'checkpoint');
  field.assertTag(fields, 'checkpoint');
  const { cut } = fields;
  if (!CUTS.has(cut)) {
    fail('out_of_range', 'A cut is periodic, idle or epoch.', { field: 'cut' });
  }
  if ('nextCommittee' in fields !== (cut === 'epoch')) {
    fail('out_of_range', 'The end of an epoch, and nothing else, names the next committee.', {
      field: 'nextCommittee',
    });
  }
  const commit = field.listOf(fields['commit'], 'commit', 2);
  return {
    chain: field.linkOfField(fields, 'chain'),
    epoch: field.integerOf(fields, 'epoch', 0, MOST),
    cut: cut as Cut,
    size: field.integerOf(fields, 'size', 1, MOST),
    root: field.digestOf(fields, 'root'),
    state: field.digestOf(fields, 'state'),
    commit: {
      index: field.asInteger(commit[0], 'commit', 1, MOST),
      id: field.linkOfField({ commit: commit[1] }, 'commit'),
    },
    ts_ms: field.integerOf(fields, 'ts_ms', 0, MOST),
    ...('nextCommittee' in fields && { nextCommittee: field.digestOf(fields, 'nextCommittee') }),
    prev: field.linkOfField(fields, 'prev'),
    id: idOf(bytes),
    bytes: new Uint8Array(bytes),
  };
}

/** The slot in one text, for maps. */
export function slotName({ epoch, size, cut }: CheckpointSlot): string {
  return `${size}/${epoch}/${cut}`;
}
