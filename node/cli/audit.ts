import { existsSync, statSync } from 'node:fs';
import { Option } from 'commander';
import type { Command } from 'commander';
import { X0tError } from '#ledger/errors.ts';
import { chainOf } from '#ledger/genesis.ts';
import { parseId, textOf } from '#ledger/ids.ts';
import type { Id } from '#ledger/ports.ts';
import type { EngineName } from '#native/engine.ts';
import { auditCar, auditStore } from '#node/audit/index.ts';
import type { AuditOptions, AuditReport } from '#node/audit/index.ts';
import { schemaFor } from '#node/schema.ts';
import { addCommand, wholeNumber } from './command.ts';
import { EXIT } from './exit-codes.ts';
import { readGenesisFile } from './genesis-file.ts';
import { columns, counted } from './output.ts';
import { startProgress } from './progress.ts';
import { withStore } from './stopped-store.ts';

interface Options {
  readonly genesis?: string;
  readonly engine: EngineName;
  readonly workers?: number;
}

const WORKERS_MAX = 64;

export function registerAudit(program: Command): void {
  const about =
    'verify a log from its genesis on: an export, or the data directory of a stopped node';
  const { command, does } = addCommand<Options>(program, 'audit <file|dir>', about, [
    'x0t audit log.car',
    'x0t audit log.car --genesis genesis.cbor --json',
    'x0t audit ./data',
  ]);
  command
    .option(
      '--genesis <file|cid>',
      'the network that it must be: its genesis.cbor, or the id of its chain',
    )
    .addOption(
      new Option('--engine <name>', 'what verifies')
        .choices(['liboqs', 'openssl'])
        .default('liboqs'),
    )
    .option('--workers <count>', 'threads (default: one per core)', wholeNumber(1, WORKERS_MAX));
  does(async (out, options, path = '') => {
    const report = await audit(path, options);
    out.show(jsonOf(report), () => describe(report, options));
    if (!report.ok) process.exitCode = EXIT.failedCheck;
  });
}

async function audit(path: string, { genesis, engine, workers }: Options): Promise<AuditReport> {
  const wanted = genesis === undefined ? undefined : await chainNamed(genesis);
  const bar = startProgress('audit', 'units');
  const options: AuditOptions = {
    schema: schemaFor,
    engine,
    ...(workers !== undefined && { workers }),
    progress: ({ done, total }) => bar.set(done, total),
  };
  try {
    if (!isDirectory(path))
      return await auditCar(path, { ...options, ...(wanted && { genesis: wanted }) });
    return await withStore(path, (store, bytes) =>
      auditStore(store, { ...options, genesis: wanted ?? chainOf(bytes) }),
    );
  } finally {
    bar.stop();
  }
}

/** The chain of a genesis file, or the one whose id is given. */
async function chainNamed(genesis: string): Promise<Id> {
  if (!existsSync(genesis)) return parseId(genesis);
  const { chain } = await readGenesisFile(genesis);
  return chain.id;
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch (cause) {
    throw new X0tError('file_unreadable', 'The file cannot be read.', { file: path }, { cause });
  }
}

/** Ids of objects as CIDs. */
function jsonOf({ chain, reported, ...rest }: AuditReport): object {
  return {
    ...rest,
    ...(chain !== undefined && { chain: textOf(chain) }),
    ...(reported && { reported: { ...reported, chain: textOf(reported.chain) } }),
  };
}

function describe(report: AuditReport, options: Options): string {
  const { ok, finding, chain, summary } = report;
  const { workers, engine } = report;
  const by = `${counted(workers, 'thread')}, ${engine || options.engine}`;
  const rate = `${Math.round(report.signaturesPerSecond)}/s, ${by}`;
  const counts = columns([
    ['chain', chain === undefined ? 'not read' : textOf(chain)],
    ['blocks', report.blocks],
    ['events', eventsOf(report)],
    ['commits', `${report.commits}, and ${report.commitsBeyond} beyond the reported one`],
    ['signatures', `${report.signatures} verified, ${rate}`],
    ['took', `${Math.round(report.elapsed_ms)} ms`],
    ...(summary
      ? ([
          ['log root', summary.logRoot],
          ['state root', summary.stateRoot],
        ] as const)
      : []),
  ]);
  if (!finding) {
    return ok ? `OK: the log gives what the node reported.\n${counts}` : `FAULT\n${counts}`;
  }
  const { code, message, place } = finding;
  const where = columns(
    Object.entries(place).map(([name, value]) => [`  ${name}`, value] as const),
  );
  return `FAULT: ${message} (${code})\n${where}Verified up to there:\n${counts}`;
}

/** Blocks may hold more than is final: events that stand twice, or after the reported commit. */
function eventsOf({ events, summary }: AuditReport): string {
  return `${events} in blocks${summary ? `, ${summary.size} final` : ''}`;
}
