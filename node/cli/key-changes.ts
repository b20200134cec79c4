import type { Command } from 'commander';
import { decode, encode } from '#ledger/codec.ts';
import { keyId } from '#ledger/cose.ts';
import { fail } from '#ledger/errors.ts';
import type { Body } from '#ledger/event.ts';
import { bytesOf } from '#ledger/ids.ts';
import {
  REKEY_KIND, REVOKE_KIND, ROTATE_KIND, isNewKey, rekeyBody, rotateBody,
} from '#ledger/rotation.ts';
import type { Client } from '#node/client.ts';
import { dataPaths } from '#node/data-paths.ts';
import { isSealedFile } from '#node/private-file.ts';
import { addCommand } from './command.ts';
import { readInput, saveNew } from './files.ts';
import {
  keysOf,
  keysOfFile,
  keysOfNode,
  memberOf,
  presentOfNode,
  untilRead,
  withoutKey,
} from './own-key.ts';
import type { KeyJson, RotateOptions } from './own-key.ts';
import { columns } from './output.ts';
import type { Output } from './output.ts';
import { passphraseOf, withPassphrase } from './passphrases.ts';
import type { PassphraseOption } from './passphrases.ts';
import { clientOf } from './client.ts';
import { withData, withNode } from './places.ts';
import type { DataOption, NodeOptions } from './places.ts';
import { LANE_BESIDE_NODE, chainOf, signingKey, submitSigned } from './signing.ts';
import type { SigningKey } from './signing.ts';
import { NOTHING, table } from './table.ts';
import { describeWritten, withWriting } from './writing.ts';
import type { WritingOptions } from './writing.ts';

/** `x0t key rotate|revoke|rekey|request|list`: keys on the ledger (docs/keys.md). */

interface RevokeOptions extends WritingOptions {
  readonly reason: string;
  readonly own?: boolean;
}

export function registerKeyChanges(group: Command): void {
  registerRotate(group);
  registerRevoke(group);
  registerRekey(group);
  const list = addCommand<NodeOptions>(group, 'list [actor]', 'keys of members on the ledger', [
    'x0t key list',
  ]);
  withNode(list.command);
  list.does(async (out, options, actor) => {
    const { members } = await (await clientOf(options)).members();
    const found = members.filter((one) => actor === undefined || one.actor === actor);
    const keys = found.flatMap((one) => keysOf(one).map((key) => ({ actor: one.actor, ...key })));
    out.show(keys, () => table(HEAD, keys.map(cellsOf), HEAD.slice(3)));
  });
}

/** `from`, `until` and `revoked` are numbers of final events; 0 is the genesis. */
const HEAD = ['actor', 'key', 'state', 'from', 'until', 'revoked'];

function cellsOf(key: KeyJson & { readonly actor: string }): string[] {
  const { actor, id, state, since, until = NOTHING, revoked = NOTHING } = key;
  return [actor, id, state, since, until, revoked].map(String);
}

function registerRotate(group: Command): void {
  const rotate = addCommand<RotateOptions>(
    group,
    'rotate',
    "the node of the data directory, or the actor of --key, signs with a new key from now on",
    ['x0t key rotate --data ./alpha --wait', 'x0t key rotate --key me.key -o me-2.key --wait'],
  );
  withWriting(rotate.command).option('-o, --out <file>', 'with --key: the new key file');
  rotate.does(async (out, options) => {
    const client = await clientOf(options);
    const { present, next, file, lane } = await (options.key === undefined
      ? keysOfNode(client, options)
      : keysOfFile(client, options.key, options));
    const chain = await chainOf(client, present);
    const about = { chain, actor: present.actor, key: keyId(present.coseKey) };
    const body = await rotateBody(about, next);
    await write(out, options, client, { key: present, kind: ROTATE_KIND, body, lane }, {
      key: keyId(next.coseKey),
      file,
    });
  });
}

function registerRevoke(group: Command): void {
  const revoke = addCommand<RevokeOptions>(
    group,
    'revoke <actor> [key]',
    'what a key signs is void from now on: the present one of an actor, or one of before',
    [
      'x0t key revoke 4f2a… --reason "the disk was stolen" --wait',
      'x0t key revoke 4f2a… 91bc… --own --reason "an old disk" --data ./alpha',
    ],
  );
  withWriting(revoke.command)
    .option('--own', "by the node's own present key: only one that it has rotated away")
    .requiredOption('--reason <text>', 'why; everybody can read it');
  revoke.does(async (out, options, actor = '', named?: string) => {
    const client = await clientOf(options);
    const member = memberOf(await client.members(), actor);
    const key = named ?? member.key ?? withoutKey(actor);
    const body = { actor: digestOf(actor), key: digestOf(key), reason: options.reason };
    const signer = options.own ? await presentOfNode(client, options) : await operatorKey(options);
    const lane = options.own ? LANE_BESIDE_NODE : undefined;
    await write(out, options, client, { key: signer, kind: REVOKE_KIND, body, lane }, { key });
  });
}

function registerRekey(group: Command): void {
  const request = addCommand<DataOption & PassphraseOption & { readonly out: string }>(
    group,
    'request',
    'make a key for a node whose key is revoked, and a request that an operator signs',
    ['x0t key request -o alpha.request --data ./alpha'],
  );
  withPassphrase(withData(request.command)).requiredOption('-o, --out <file>', 'the new file');
  request.does(async (out, options) => {
    const paths = dataPaths(options.data);
    const { readDataDir } = await import('#node/data-dir.ts');
    const { keyring, chain, actor } = await readDataDir(options.data, passphraseOf(options));
    const next = await keyring.create(
      (await isSealedFile(paths.key)) ? passphraseOf(options) : undefined,
    );
    saveNew(options.out, encode(await rekeyBody({ chain: chain.id, actor }, next)));
    const shown = { request: options.out, actor, key: next.id, file: keyring.fileOf(next.id) };
    out.show(shown, () => columns(Object.entries(shown)));
  });

  const rekey = addCommand<WritingOptions>(
    group,
    'rekey <request>',
    'bind the key of a request to its actor; by an operator',
    ['x0t key rekey alpha.request --wait'],
  );
  withWriting(rekey.command);
  rekey.does(async (out, options, file = '') => {
    const client = await clientOf(options);
    const body = readRequest(file);
    const signer = await operatorKey(options);
    const actor = (body['actor'] as Uint8Array).toHex();
    const key = keyId(body['key'] as Uint8Array);
    await untilRead(client, actor, key);
    await write(out, options, client, { key: signer, kind: REKEY_KIND, body }, { actor, key });
  });
}

function readRequest(file: string): Body {
  const bytes = readInput(file);
  let body: unknown;
  try {
    body = decode(bytes);
  } catch {
    body = undefined;
  }
  const isBody = typeof body === 'object' && body !== null && !Array.isArray(body);
  const actor = isBody ? (body as Body)['actor'] : undefined;
  if (isBody && actor instanceof Uint8Array && isNewKey(body as Body)) return body as Body;
  return fail('request_malformed', 'The file is no request for a key: see `x0t key request`.', {
    file,
  });
}

async function operatorKey(options: WritingOptions): Promise<SigningKey> {
  return (await signingKey(options)) ?? fail('usage', "Name an operator's key with --key FILE.");
}

interface Change {
  readonly key: SigningKey;
  readonly kind: string;
  readonly body: Body;
  readonly lane?: number | undefined;
}

async function write(
  out: Output,
  options: WritingOptions,
  client: Client,
  { key, kind, body, lane }: Change,
  more: Readonly<Record<string, string>>,
): Promise<void> {
  const { wait = false, timeout } = options;
  const written = await submitSigned(client, key, kind, body, wait, timeout * 1000, lane);
  const rows = Object.entries(more);
  out.show({ ...written, ...more }, () => `${describeWritten(written)}\n${columns(rows)}`);
}

function digestOf(text: string): Uint8Array {
  if (!/^[0-9a-f]{64}$/.test(text)) {
    const message = 'An actor or key is written in 64 hex digits: see `npx x0t key list`.';
    fail('usage', message, { named: text });
  }
  return bytesOf(text);
}
