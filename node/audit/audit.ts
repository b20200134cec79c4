import { availableParallelism } from 'node:os';
import { findingOf, placed } from '#ledger/audit/place.ts';
import type { Finding, Place } from '#ledger/audit/place.ts';
import type { Manifest } from '#ledger/audit/manifest.ts';
import { Refold } from '#ledger/audit/refold.ts';
import type { RefoldWatcher } from '#ledger/audit/refold.ts';
import type { Chain } from '#ledger/chain.ts';
import { fail } from '#ledger/errors.ts';
import { decodeEvent } from '#ledger/event.ts';
import type { Entry } from '#ledger/event.ts';
import type { Summary } from '#ledger/fold.ts';
import { textOf } from '#ledger/ids.ts';
import { storeKeys } from '#ledger/keys.ts';
import type { Id } from '#ledger/ports.ts';
import type { Genesis } from '#ledger/genesis.ts';
import type { Schema } from '#ledger/reducer.ts';
import type { EngineName } from '#native/engine.ts';
import type { BlockResult, Chunk, ChunkResult, ChunkSource } from './chunks.ts';
import { startCrew } from './crew.ts';
import type { Crew } from './crew.ts';

export interface AuditOptions {
  /** The projections, or how they follow from the genesis that the log brings. */
  readonly schema: Schema | ((genesis: Genesis) => Schema);
  /** The chain that must be found; any where it is not given. */
  readonly genesis?: Id;
  /** Worker threads; one per core by default. */
  readonly workers?: number;
  /** `liboqs` by default. */
  readonly engine?: EngineName;
  /** Called after every chunk of about a megabyte. */
  readonly progress?: (progress: AuditProgress) => void;
}

interface AuditProgress {
  /** Out of `total`, in `unit`. */
  readonly done: number;
  readonly total: number;
  readonly unit: 'bytes' | 'blocks';
  readonly blocks: number;
  readonly signatures: number;
  readonly signaturesPerSecond: number;
}

/** What an audit found. With `ok` false it ended at `finding`, and the counts reach up to there. */
export interface AuditReport {
  readonly ok: boolean;
  readonly finding?: Finding;
  readonly chain?: Id;
  /** What the node reported. */
  readonly reported?: Manifest;
  /** What the log gives at the reported commit. */
  readonly summary?: Summary;
  readonly blocks: number;
  readonly events: number;
  /** Signatures that were verified, those of blocks included. */
  readonly signatures: number;
  readonly commits: number;
  /** Commits that the blocks decide after the reported one. */
  readonly commitsBeyond: number;
  readonly engine: string;
  readonly workers: number;
  /** From the first chunk to the last comparison, without the start of the threads. */
  readonly elapsed_ms: number;
  readonly signaturesPerSecond: number;
}

/** What is audited, once its front was read. */
export interface Subject {
  readonly chain: Chain;
  readonly reported: Manifest;
  readonly source: ChunkSource;
  readonly watcher?: RefoldWatcher;
  /** The epoch in which it stands, which may have no block yet. */
  readonly epoch?: number;
  /** What else is compared, after the log itself. */
  finish(refold: Refold): Promise<void>;
  close(): Promise<void>;
}

/** Opens what is audited and audits it; what is thrown there and names a place is a finding. */
export async function auditSubject(
  open: () => Promise<Subject>,
  options: AuditOptions,
): Promise<AuditReport> {
  const run = new AuditRun(options);
  let subject: Subject | undefined;
  try {
    subject = await open();
    return await run.run(subject);
  } catch (error) {
    const finding = findingOf(error);
    if (!finding) throw error;
    return run.report(finding);
  } finally {
    await run.close();
    await subject?.close();
  }
}

/** The projections of a network. */
export function schemaIn(schema: AuditOptions['schema'], genesis: Genesis): Schema {
  return typeof schema === 'function' ? schema(genesis) : schema;
}

class AuditRun {
  readonly #options: AuditOptions;
  readonly #workers: number;
  #crew: Crew | undefined;
  #subject: Subject | undefined;
  #refold: Refold | undefined;
  #summary: Summary | undefined;
  #start_ms = performance.now();
  #blocks = 0;
  #events = 0;
  #signatures = 0;

  constructor(options: AuditOptions) {
    this.#options = options;
    this.#workers = options.workers ?? availableParallelism();
  }

  async run(subject: Subject): Promise<AuditReport> {
    const { chain, reported, source, watcher } = subject;
    const { genesis, engine = 'liboqs', schema: given } = this.#options;
    const schema = schemaIn(given, chain.genesis);
    this.#subject = subject;
    if (genesis !== undefined && genesis !== chain.id) {
      fail('audit_other_network', 'This is the log of another network than the given one.', {
        kind: 'genesis',
        chain: textOf(chain.id),
        wanted: textOf(genesis),
      });
    }
    this.#refold = new Refold(chain, schema, reported.commit, watcher);
    this.#crew = await startCrew(this.#workers, engine, chain.genesisBytes);
    this.#start_ms = performance.now();
    await this.#checkAll(this.#crew, source);
    while (this.#refold.committee.epoch < (subject.epoch ?? 0)) this.#refold.nextEpoch();
    this.#summary = this.#refold.finish(reported);
    await subject.finish(this.#refold);
    return this.report();
  }

  /** Keeps the threads busy and takes their results in order; the first wrong thing wins. */
  async #checkAll(crew: Crew, source: ChunkSource): Promise<void> {
    const underWay: { readonly chunk: Chunk; readonly result: Promise<ChunkResult> }[] = [];
    const takeFirst = async () => {
      const first = underWay.shift();
      if (first) this.#take(first.chunk, await first.result, source);
    };
    try {
      for await (const chunk of source.chunks()) {
        while (chunk.epoch > (this.#refold as Refold).committee.epoch) {
          while (underWay.length > 0) await takeFirst();
          crew.sit((this.#refold as Refold).nextEpoch());
        }
        const result = crew.check(chunk);
        // Awaited in its turn; until then a rejection waits for it.
        result.catch(() => undefined);
        underWay.push({ chunk, result });
        if (underWay.length > crew.capacity) await takeFirst();
      }
    } catch (error) {
      if (findingOf(error)) while (underWay.length > 0) await takeFirst();
      throw error;
    }
    while (underWay.length > 0) await takeFirst();
  }

  #take(chunk: Chunk, result: ChunkResult, source: ChunkSource): void {
    const refold = this.#refold as Refold;
    let first = 0;
    for (const block of result.blocks) {
      const entriesFrom = first;
      first += block.count;
      const place = chunk.places[block.unit] as Place;
      try {
        const { id, round, author, ts_ms, count } = block;
        if (place.row !== undefined && place.row !== storeKeys.block(block, block.epoch)) {
          fail('store_corrupt', 'A stored block is not the one that its row names.', { id });
        }
        const entries = () => entriesOf(result, entriesFrom, count);
        const parents = parentsOf(block);
        const ref = { id, round, author };
        refold.accept({ ref, place, ts_ms, parents, hasPayload: count > 0, entries });
      } catch (error) {
        throw placed(error, place);
      }
      this.#blocks += 1;
      this.#events += block.count;
      this.#signatures += block.signatures;
    }
    const { failure } = result;
    if (failure) {
      const { unit, code, message, data } = failure;
      fail(code, message, { ...(chunk.places[unit] as Place), ...data });
    }
    const { total, unit } = source;
    this.#options.progress?.({
      done: chunk.done,
      total,
      unit,
      blocks: this.#blocks,
      signatures: this.#signatures,
      signaturesPerSecond: this.#rate(),
    });
  }

  #rate(): number {
    const elapsed_ms = performance.now() - this.#start_ms;
    return elapsed_ms > 0 ? (this.#signatures * 1000) / elapsed_ms : 0;
  }

  report(finding?: Finding): AuditReport {
    const subject = this.#subject;
    return {
      ok: finding === undefined,
      ...(finding && { finding }),
      ...(subject && { chain: subject.chain.id, reported: subject.reported }),
      ...(this.#summary && { summary: this.#summary }),
      blocks: this.#blocks,
      events: this.#events,
      signatures: this.#signatures,
      commits: this.#refold?.commits ?? 0,
      commitsBeyond: this.#refold?.commitsBeyond ?? 0,
      engine: this.#crew?.engine ?? '',
      workers: this.#workers,
      elapsed_ms: performance.now() - this.#start_ms,
      signaturesPerSecond: this.#rate(),
    };
  }

  async close(): Promise<void> {
    await this.#crew?.close();
  }
}

function parentsOf({ parents }: BlockResult) {
  return parents.map(([round, author, id]) => ({ round, author, id }));
}

/** The entries of a checked block as a fold reads them; their signatures are not kept. */
function entriesOf(
  { bytes, ids, events }: ChunkResult,
  from: number,
  count: number,
): Entry[] {
  return Array.from({ length: count }, (_, i) => {
    const at = from + i;
    const eventBytes = bytes.subarray(events[2 * at], events[2 * at + 1]);
    const id = ids.subarray(32 * at, 32 * at + 32).toHex();
    const event = decodeEvent(eventBytes);
    return { id, event, eventBytes, sign1: undefined, bytes: eventBytes };
  });
}
