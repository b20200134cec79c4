import { createWriteStream } from 'node:fs';
import { rename, rm, stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CarWriter } from '@ipld/car/writer';
import { sectionCid } from '#ledger/audit/car-format.ts';
import type { SectionKind } from '#ledger/audit/car-format.ts';
import { encodeManifest, manifestOf } from '#ledger/audit/manifest.ts';
import type { Manifest } from '#ledger/audit/manifest.ts';
import type { Chain } from '#ledger/chain.ts';
import { X0tError, fail } from '#ledger/errors.ts';
import { Fold } from '#ledger/fold.ts';
import { idOf, linkOf } from '#ledger/ids.ts';
import type { BlockStore, Id } from '#ledger/ports.ts';
import type { Schema } from '#ledger/reducer.ts';
import { assertArchive } from '#ledger/snapshot/pruned.ts';
import { storedBlocks, storedKey } from './sections.ts';

interface ExportOptions {
  readonly store: Pick<BlockStore, 'get' | 'range'>;
  readonly chain: Chain;
  readonly schema: Schema;
  /** Path of the new file; it appears when it is whole. */
  readonly file: string;
  /** Called after every block. */
  readonly progress?: (done: ExportProgress) => void;
}

interface ExportProgress {
  /** Blocks that were written. */
  readonly done: number;
  readonly total: number;
}

export interface ExportReport {
  readonly file: string;
  readonly bytes: number;
  /** The file's root: the CID of its manifest. */
  readonly root: Id;
  readonly manifest: Manifest;
}

/**
 * Writes all accepted blocks of a store with what the node says of its state into a CARv1 file
 * (docs/audit.md); equal stores give equal files. Throws `export_exists` where the file is there,
 * `export_failed` where it cannot be written, `export_changed` when the store took blocks
 * meanwhile, and `store_corrupt`. Memory does not grow with the log, but with its keys (150 bytes
 * each).
 */
export async function exportCar(options: ExportOptions): Promise<ExportReport> {
  const { file } = options;
  if (await stat(file).catch(() => undefined)) {
    fail('export_exists', 'The file is there already: name another, or remove it.', { file });
  }
  const manifest = await manifestNow(options);
  const bytes = encodeManifest(manifest);
  const root = idOf(bytes);
  const partial = `${file}.partial`;
  const { writer, out } = CarWriter.create([linkOf(root)]);
  const ended = new AbortController();
  const sink = createWriteStream(partial, { mode: 0o600, flush: true });
  const written = pipeline(Readable.from(out), sink, { signal: ended.signal });
  try {
    // A full disk must not leave the writer waiting for a stream that takes no more.
    await Promise.race([written, writeAll(writer, manifest, bytes, options)]);
    await written;
    await rename(partial, file);
  } catch (cause) {
    ended.abort();
    await written.catch(() => undefined);
    await rm(partial, { force: true });
    if (cause instanceof X0tError) throw cause;
    const message = 'The file cannot be written: check path and disk.';
    throw new X0tError('export_failed', message, { file }, { cause });
  }
  return { file, bytes: (await stat(file)).size, root, manifest };
}

async function manifestNow({ store, chain, schema }: ExportOptions): Promise<Manifest> {
  assertArchive(store);
  const fold = new Fold(store, chain.genesis, schema);
  const last = fold.ordererState?.last ?? { index: 0, id: chain.id, ts_ms: 0, leaderRound: 0 };
  const summary = fold.summary();
  const keys = new Set<Id>();
  let blocks = 0;
  const epochs: number[] = [];
  for await (const { keyIds, epoch } of storedBlocks(store)) {
    blocks += 1;
    while (epochs.length <= epoch) epochs.push(0);
    epochs[epoch] = (epochs[epoch] ?? 0) + 1;
    for (const id of keyIds) keys.add(id);
  }
  return manifestOf(chain.id, summary, last, {
    blocks,
    keys: keys.size,
    ...(epochs.length > 1 && { epochs }),
  });
}

async function writeAll(
  writer: ReturnType<typeof CarWriter.create>['writer'],
  manifest: Manifest,
  bytes: Uint8Array,
  { store, chain, progress }: ExportOptions,
): Promise<void> {
  const put = (kind: SectionKind, id: Id, content: Uint8Array) =>
    writer.put({ cid: sectionCid(kind, id), bytes: content });
  await put('manifest', idOf(bytes), bytes);
  await put('genesis', chain.id, chain.genesisBytes);
  const seen = new Set<Id>();
  let done = 0;
  for await (const { id, header, body, keyIds } of storedBlocks(store)) {
    for (const key of keyIds) {
      if (seen.has(key)) continue;
      seen.add(key);
      await put('key', key, storedKey(store, key));
    }
    await put('header', id, header);
    await put('body', idOf(body), body);
    done += 1;
    progress?.({ done, total: manifest.blocks });
  }
  if (done !== manifest.blocks) {
    fail('export_changed', 'The store took blocks while it was exported: export again.', {
      blocks: manifest.blocks,
      found: done,
    });
  }
  await writer.close();
}
