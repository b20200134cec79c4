import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { X0tError, fail } from '#ledger/errors.ts';
import { replaceFile } from '#node/private-file.ts';
import { systemClock, systemEntropy } from '#node/system.ts';
import { parseSpiffeId } from '#projections/spiffe-id.ts';
import type { Certificate } from '#node/identity/certificate.ts';
import type { WorkloadClient } from '#node/identity/workload-client.ts';
import { ENDPOINT_VARIABLE, locateEndpoint } from '#node/identity/workload-endpoint.ts';
import { addCommand } from './command.ts';
import { columns, utc } from './output.ts';
import type { Output } from './output.ts';

interface SvidOptions {
  readonly socket?: string;
}

interface FilesOptions extends SvidOptions {
  readonly out?: string;
  readonly watch?: boolean;
}

interface TokenOptions extends SvidOptions {
  readonly id?: string;
}

/** A Workload API that gives nothing in this time is given up. */
const FIRST_MS = 10_000;

/** `x0t svid`: takes SPIFFE identities from a Workload API, for programs that read files. */
export function registerSvid(program: Command): void {
  const about = 'take the SPIFFE identity of this process from a Workload API';
  const group = program.command('svid').description(about);

  const files = addCommand<FilesOptions>(
    group,
    'x509',
    'certificate, key and bundles; with --out as svid.pem, key.pem and bundle.pem',
    [
      'x0t svid x509 --socket unix:///run/x0t/api.sock',
      'x0t svid x509 --out ./svid --watch     # keeps the files fresh',
    ],
  );
  withSocket(files.command)
    .option('--out <dir>', 'write the files here, the key for its owner alone')
    .option('--watch', 'stay, and write them at each renewal');
  files.does((out, options) => withClient(options, (client) => fetchFiles(out, client, options)));

  const token = addCommand<TokenOptions>(
    group,
    'jwt <audience...>',
    'a token for an audience, on stdout: a secret',
    ['curl -H "authorization: Bearer $(npx x0t svid jwt spiffe://alpha.00a1b2c3d4e5f607/api)" …'],
  );
  withSocket(token.command).option('--id <spiffe-id>', 'which identity, if there are several');
  token.does((out, options, ...audience) =>
    withClient(options, async (client) => {
      const id = options.id === undefined ? undefined : parseSpiffeId(options.id);
      const [first] = await client.fetchJwt(audience.flat(), id);
      if (!first) fail('workload_no_svid', 'the Workload API has given no token');
      out.show({ id: first.id.uri, token: first.token }, () => first.token);
    }),
  );
}

function withSocket(command: Command): Command {
  const about = `the Workload API, e.g. unix:///run/x0t/api.sock (default: ${ENDPOINT_VARIABLE})`;
  return command.option('--socket <uri>', about);
}

/** gRPC is loaded only by those who need it. */
async function withClient(
  { socket = '' }: SvidOptions,
  use: (client: WorkloadClient) => Promise<void>,
): Promise<void> {
  const uri = locateEndpoint(socket, process.env);
  if (uri === '') fail('usage', `Name a Workload API with --socket or ${ENDPOINT_VARIABLE}.`);
  const { WorkloadClient: Opened } = await import('#node/identity/workload-client.ts');
  const { parseEndpoint } = await import('#node/identity/workload-endpoint.ts');
  const log = { info: () => {}, warn: () => {}, error: () => {}, debug: () => {} };
  const endpoint = parseEndpoint(uri);
  const client = new Opened({ endpoint, clock: systemClock, entropy: systemEntropy, log });
  try {
    await use(client);
  } finally {
    client.close();
  }
}

async function fetchFiles(
  out: Output,
  client: WorkloadClient,
  { out: directory, watch = false }: FilesOptions,
): Promise<void> {
  await firstState(client);
  for (;;) {
    const { defaultSvid: svid } = client;
    const { x509Bundles } = client.current;
    const shown = {
      id: svid.id.uri,
      notAfter_ms: svid.notAfter_ms,
      trustDomains: [...x509Bundles.keys()],
    };
    if (directory !== undefined) {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      const key = svid.privateKey.export({ format: 'pem', type: 'pkcs8' });
      // a reader that finds the new certificate beside the old key tries again
      await replaceFile(join(directory, 'key.pem'), key);
      await replaceFile(join(directory, 'svid.pem'), pemOf(svid.chain));
      await replaceFile(join(directory, 'bundle.pem'), pemOf([...x509Bundles.values()].flat()));
    }
    out.show(shown, () =>
      columns([
        ['id', shown.id],
        ['until', utc(shown.notAfter_ms)],
        ['bundles', shown.trustDomains.join(', ')],
        ...(directory === undefined ? [] : [['files', directory] as const]),
      ]),
    );
    if (!watch) return;
    await nextSvid(client, svid.notAfter_ms);
  }
}

function pemOf(certificates: readonly Certificate[]): string {
  return certificates.map(({ openssl }) => openssl.toString()).join('');
}

/** Until the first message, or the reason why there is none. */
function firstState(client: WorkloadClient): Promise<void> {
  return until(client, FIRST_MS, () => {
    const { status, problems } = client.current;
    if (status === 'denied') fail('workload_denied', 'the Workload API gives this process nothing');
    const problem = problems.FetchX509SVID;
    if (status === 'refused') fail(problem ?? 'workload_refused', 'the Workload API refuses calls');
    return status === 'ready';
  });
}

/** Until the SVID is another one; ends with an error when it was taken away. */
function nextSvid(client: WorkloadClient, before_ms: number): Promise<void> {
  return until(client, undefined, () => {
    const { status, svids } = client.current;
    if (status === 'denied') fail('workload_denied', 'the Workload API gives this process nothing');
    return svids[0] !== undefined && svids[0].notAfter_ms !== before_ms;
  });
}

async function until(
  client: WorkloadClient,
  limit_ms: number | undefined,
  holds: () => boolean,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const look = (): void => {
    try {
      if (holds()) resolve();
    } catch (error) {
      reject(error);
    }
  };
  const giveUp = (): void => {
    const message = 'the Workload API gave no answer in time';
    reject(new X0tError('workload_unavailable', message, { limit_ms: limit_ms ?? 0 }));
  };
  const end = client.subscribe(look);
  const timer = limit_ms === undefined ? undefined : setTimeout(giveUp, limit_ms);
  look();
  try {
    await promise;
  } finally {
    end();
    clearTimeout(timer);
  }
}
