import { decode, encode } from '#ledger/codec.ts';
import { fail } from '#ledger/errors.ts';
import * as field from '#ledger/fields.ts';
import type { Summary } from '#ledger/fold.ts';
import { bytesOf, linkOf } from '#ledger/ids.ts';
import type { OrdererState } from '#ledger/orderer.ts';
import type { Id } from '#ledger/ports.ts';

/** What a node says of itself when it exports: the audit compares all of it with what it finds. */
export interface Manifest extends Summary {
  readonly chain: Id;
  /** The last folded commit: its index from 1 and its id; 0 and the chain before the first. */
  readonly commit: { readonly index: number; readonly id: Id };
  /** Blocks in the file, those that no commit has ordered included. */
  readonly blocks: number;
  /** Distinct keys in the file. */
  readonly keys: number;
  /** Blocks of each epoch, where there is more than the first. */
  readonly epochs?: readonly number[];
}

const KNOWN = new Set([
  't', 'v', 'chain', 'size', 'commit', 'logRoot', 'stateRoot', 'projections', 'blocks', 'keys',
  'epochs',
]);
const PROJECTIONS_MAX = 256;
/** Epochs in one export. */
const EPOCHS_MAX = 65_536;
const MOST = Number.MAX_SAFE_INTEGER;

/** The manifest of a fold that stands at `last`. */
export function manifestOf(
  chain: Id,
  summary: Summary,
  last: OrdererState['last'],
  counts: Pick<Manifest, 'blocks' | 'keys' | 'epochs'>,
): Manifest {
  return { chain, ...summary, commit: { index: last.index, id: last.id }, ...counts };
}

export function encodeManifest(manifest: Manifest): Uint8Array {
  const { chain, size, commit, logRoot, stateRoot, projections, blocks, keys, epochs } = manifest;
  return encode({
    t: 'export',
    v: 1,
    chain: linkOf(chain),
    size,
    commit: [commit.index, linkOf(commit.id)],
    logRoot: bytesOf(logRoot),
    stateRoot: bytesOf(stateRoot),
    projections: projections.map(({ name, version, root }) => [name, version, bytesOf(root)]),
    blocks,
    keys,
    ...(epochs && { epochs }),
  });
}

/** Reads a manifest; throws coded errors. */
export function decodeManifest(bytes: Uint8Array): Manifest {
  const fields = field.fieldsOf(decode(bytes), KNOWN, 'manifest');
  field.assertTag(fields, 'export');
  const commit = field.listOf(fields['commit'], 'commit', 2);
  const projections = field.listOf(fields['projections'], 'projections', PROJECTIONS_MAX);
  return {
    chain: field.linkOfField(fields, 'chain'),
    size: field.integerOf(fields, 'size', 0, MOST),
    commit: {
      index: field.asInteger(commit[0], 'commit', 0, MOST),
      id: field.linkOfField({ commit: commit[1] }, 'commit'),
    },
    logRoot: field.digestOf(fields, 'logRoot'),
    stateRoot: field.digestOf(fields, 'stateRoot'),
    projections: projections.map((value) => {
      const triple = field.listOf(value, 'projections', 3);
      return {
        name: field.textOfField({ name: triple[0] }, 'name', 64),
        version: field.asInteger(triple[1], 'version', 1, 0xffff),
        root: field.asDigest(triple[2], 'root'),
      };
    }),
    blocks: field.integerOf(fields, 'blocks', 0, MOST),
    keys: field.integerOf(fields, 'keys', 0, MOST),
    ...('epochs' in fields && { epochs: decodeEpochs(fields) }),
  };
}

function decodeEpochs({ epochs: value, blocks }: field.Fields): readonly number[] {
  const epochs = field
    .listOf(value, 'epochs', EPOCHS_MAX)
    .map((count) => field.asInteger(count, 'epochs', 0, MOST));
  if (epochs.length < 2 || epochs.reduce((sum, count) => sum + count, 0) !== blocks) {
    fail('out_of_range', 'The blocks of all epochs, two or more, are the blocks.', {
      field: 'epochs',
    });
  }
  return epochs;
}
