import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CarWriter } from '@ipld/car/writer';
import { CAR_HEADER_BYTES, Framer, sectionCid } from '#ledger/audit/car-format.ts';
import type { Section, SectionKind } from '#ledger/audit/car-format.ts';
import { idOf, linkOf } from '#ledger/ids.ts';
import { auditCar, exportCar } from '#node/audit/index.ts';
import type { AuditOptions, AuditReport } from '#node/audit/index.ts';
import { schema } from '#projections/index.ts';
import type { ChainBuilder } from '#test/support/chain-builder.ts';

/** Exports of test logs, and what can be done to them. */

export interface Sample {
  readonly directory: string;
  readonly bytes: Uint8Array;
  readonly sections: readonly Section[];
  /** Audits other bytes in place of the file's. */
  audit(bytes: Uint8Array, options?: Partial<AuditOptions>): Promise<AuditReport>;
  remove(): Promise<void>;
}

export async function exportSample({ store, net }: ChainBuilder): Promise<Sample> {
  const directory = await mkdtemp(join(tmpdir(), 'x0t-audit-'));
  const file = join(directory, 'log.car');
  await exportCar({ store, chain: net.chain, schema, file });
  const bytes = new Uint8Array(await readFile(file));
  let count = 0;
  return {
    directory,
    bytes,
    sections: sectionsOf(bytes),
    async audit(changed, options = {}) {
      count += 1;
      const path = join(directory, `changed-${count}.car`);
      await writeFile(path, changed);
      return auditCar(path, { schema, workers: 1, ...options });
    },
    remove: () => rm(directory, { recursive: true, force: true }),
  };
}

/** The sections of a whole export, with offsets into the file. */
export function sectionsOf(bytes: Uint8Array): readonly Section[] {
  const { sections } = new Framer().frame(bytes.subarray(CAR_HEADER_BYTES), CAR_HEADER_BYTES, true);
  return sections.map((section) => ({
    ...section,
    idAt: section.idAt + CAR_HEADER_BYTES,
    start: section.start + CAR_HEADER_BYTES,
    end: section.end + CAR_HEADER_BYTES,
  }));
}

export interface Part {
  readonly kind: SectionKind;
  readonly content: Uint8Array;
}

export function partsOf({ bytes, sections }: Sample): Part[] {
  return sections.map(({ kind, start, end }) => ({ kind, content: bytes.slice(start, end) }));
}

/** A file of these parts with right lengths, CIDs and root: only their meaning may be wrong. */
export async function assemble(parts: readonly Part[]): Promise<Uint8Array> {
  const [manifest] = parts;
  const { writer, out } = CarWriter.create([linkOf(idOf(manifest?.content ?? new Uint8Array()))]);
  const written = (async () => {
    for (const { kind, content } of parts) {
      await writer.put({ cid: sectionCid(kind, idOf(content)), bytes: content });
    }
    await writer.close();
  })();
  const pieces: Uint8Array[] = [];
  for await (const piece of out) pieces.push(piece);
  await written;
  return new Uint8Array(Buffer.concat(pieces));
}
