import { rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { pino } from 'pino';
import { fail } from '#ledger/errors.ts';
import { addressFile } from '#node/address-file.ts';
import { Auditor } from '#node/auditor.ts';
import type { Watched } from '#node/auditor.ts';
import { tokenFile } from '#node/auth/tokens.ts';
import { withSignature, withToken } from '#node/client-auth.ts';
import { readDataDir } from '#node/data-dir.ts';
import { startNode } from '#node/node.ts';
import type { ActorKey } from '#node/keys.ts';
import { replaceFile } from '#node/private-file.ts';
import { systemClock } from '#node/system.ts';
import { addCommand, wholeNumber } from './command.ts';
import { EXIT } from './exit-codes.ts';
import { passphraseOf, withPassphrase } from './passphrases.ts';
import type { PassphraseOption } from './passphrases.ts';
import { exposures } from './key-guard.ts';
import { apiUrl, withData } from './places.ts';
import type { DataOption } from './places.ts';
import { stopRequest } from './signals.ts';

interface Options extends DataOption, PassphraseOption {
  readonly watch?: readonly string[];
  readonly every: number;
  readonly workers: number;
}

const EVERY_S = 30;
const EVERY_S_MAX = 86_400;
const WORKERS_MAX = 64;

export function registerAuditor(program: Command): void {
  const about = 'run an observer that audits its log over and over, and compares with other nodes';
  const { command, does } = addCommand<Options>(program, 'auditor', about, [
    'x0t auditor --data ./watch',
    'x0t auditor --data ./watch --watch ./data',
    'x0t auditor --data ./watch --every 60 --watch https://192.0.2.7:8443 http://192.0.2.8:8420',
  ]);
  withPassphrase(withData(command))
    .option(
      '--watch <place...>',
      'nodes whose roots must be the audited ones: URLs of their APIs, asked with the own key, ' +
        'or data directories on this machine, asked with their tokens',
    )
    .option(
      '--every <seconds>',
      'least pause between two audits',
      wholeNumber(0, EVERY_S_MAX),
      EVERY_S,
    )
    .option('--workers <count>', 'threads that verify', wholeNumber(1, WORKERS_MAX), 1);
  does(async (out, options) => {
    const { data } = options;
    const passphrase = passphraseOf(options);
    const { config, actor, coseKey, signer } = await readDataDir(data, passphrase);
    if (config.retention !== undefined && config.retention !== 'archive') {
      fail('pruned', 'An auditor keeps the whole log: take `retention` out of config.json.');
    }
    const stop = stopRequest();
    const time = pino.stdTimeFunctions.isoTime;
    const level = config.log ?? 'info';
    const log = pino({ level, base: null, timestamp: time }, pino.destination(2));
    const auditor = new Auditor({
      watch: (options.watch ?? []).map((place) => watched(place, { actor, coseKey, signer })),
      every_ms: options.every * 1000,
      workers: options.workers,
      clock: systemClock,
      log,
    });
    const node = await startNode({
      directory: data,
      log,
      overseer: auditor,
      passphrase,
      exposures: exposures(),
    });
    await replaceFile(addressFile(data), `${node.url}\n`);
    const stopped = new AbortController();
    const end = async (): Promise<void> => {
      stopped.abort();
      await node.stop();
    };
    void stop.then(end);
    const ended = node.ended.finally(() => stopped.abort());
    out.show({ url: node.url, directory: resolve(data) }, () =>
      [
        `The auditor runs. Data: ${resolve(data)}`,
        `  ${node.url}/readyz   200 while all that was looked at is right`,
        `  ${node.url}/metrics  x0t_audit_...`,
        '',
      ].join('\n'),
    );
    try {
      const audits = auditor.run(node, stopped.signal);
      await Promise.all([ended, audits.then(end, end), audits]);
    } finally {
      await rm(addressFile(data), { force: true }).catch(() => undefined);
    }
    if (auditor.faults.length > 0) process.exitCode = EXIT.failedCheck;
  });
}

/** A URL, or the data directory of a node that runs. Throws `node_unreachable`. */
function watched(place: string, key: ActorKey): Watched {
  if (/^https?:/.test(place)) return { url: place, auth: withSignature(key) };
  const url = apiUrl({ data: place, isDataGiven: true });
  return { url, auth: withToken(tokenFile(place, 'operator')) };
}
