import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { fail } from '#ledger/errors.ts';
import { replaceFile } from '#node/private-file.ts';
import { parseSpiffeId } from '#projections/spiffe-id.ts';
import type { Certificate } from '#node/identity/certificate.ts';
import type { WorkloadClient } from '#node/identity/workload-client.ts';
import { ENDPOINT_VARIABLE, locateEndpoint } from '#node/identity/workload-endpoint.ts';
import { addCommand } from './command.ts';
import { columns, utc } from './output.ts';
import type { Output } from './output.ts';
import { firstState, nextSvid, openWorkload } from './workload.ts';

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

async function withClient(
  { socket = '' }: SvidOptions,
  use: (client: WorkloadClient) => Promise<void>,
): Promise<void> {
  const uri = locateEndpoint(socket, process.env);
  if (uri === '') fail('usage', `Name a Workload API with --socket or ${ENDPOINT_VARIABLE}.`);
  const client = await openWorkload(uri);
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
