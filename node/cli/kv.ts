import { Option } from 'commander';
import type { Command } from 'commander';
import type { Level } from '#ledger/core.ts';
import { fail } from '#ledger/errors.ts';
import type { Client, KvJson, Written } from '#node/client.ts';
import { addCommand, wholeNumber } from './command.ts';
import { readInput } from './files.ts';
import { columns, remark, utc } from './output.ts';
import type { Output } from './output.ts';
import { inLine, printableBytes, shellWord } from './printable.ts';
import { clientOf } from './client.ts';
import { withNode } from './places.ts';
import type { NodeOptions } from './places.ts';
import { signingKey, submitSigned } from './signing.ts';
import { describeWritten, withWriting } from './writing.ts';
import type { WritingOptions } from './writing.ts';

interface PutOptions extends WritingOptions {
  readonly file?: string;
  readonly type?: string;
}

interface ReadOptions extends NodeOptions {
  readonly level: Level;
}

interface ListOptions extends ReadOptions {
  readonly prefix: string;
  readonly after?: string;
  readonly limit: number;
}

const TEXT_TYPE = 'text/plain; charset=utf-8';

export function registerKv(program: Command): void {
  const group = program.command('kv').description('read and write keys');
  registerPut(group);
  registerDelete(group);
  registerGet(group);
  registerList(group);
}

function registerPut(group: Command): void {
  const { command, does } = addCommand<PutOptions>(group, 'put <key> [value]', 'set a key', [
    'x0t kv put greeting hello --wait',
    'x0t kv put app/config --file config.json --type application/json',
    'x0t kv put report --file - < report.txt',
    'x0t kv put lock me --if-seq 0 --wait',
  ]);
  withWriting(command)
    .option('--file <file>', 'take the value from a file; - reads stdin')
    .option('--type <media type>', 'kept with the value')
    .option('--if-seq <seq>', 'only if this event set the key last; 0: if it is not there', anySeq);
  does(async (out, options, key = '', text) => {
    const value = valueOf(text, options.file);
    const type = options.type ?? (options.file === undefined ? TEXT_TYPE : undefined);
    const body = { key, value, ...(type !== undefined && { type }) };
    await write(out, options, 'kv.put/1', body, (client, rest) =>
      client.putKv(key, value, type, rest),
    );
  });
}

function registerDelete(group: Command): void {
  const { command, does } = addCommand<WritingOptions>(group, 'delete <key>', 'remove a key', [
    'x0t kv delete greeting --wait',
  ]);
  withWriting(command).option('--if-seq <seq>', 'only if this event set the key last', anySeq);
  does(async (out, options, key = '') => {
    await write(out, options, 'kv.delete/1', { key }, (client, rest) => client.deleteKv(key, rest));
  });
}

type Body = Readonly<Record<string, unknown>>;
type ByNode = (
  client: Client,
  options: { isFinal: boolean; timeout_ms: number; ifSeq?: number },
) => Promise<Written>;

/** Signs here where a key is at hand; else the node authors the event. */
async function write(
  out: Output,
  options: WritingOptions,
  kind: string,
  body: Body,
  byNode: ByNode,
): Promise<void> {
  const client = await clientOf(options);
  const { wait: isFinal = false, timeout, ifSeq } = options;
  const timeout_ms = timeout * 1000;
  const key = await signingKey(options);
  const precondition = ifSeq === undefined ? {} : { ifSeq };
  const written = key
    ? await submitSigned(client, key, kind, { ...body, ...precondition }, isFinal, timeout_ms)
    : await byNode(client, { isFinal, timeout_ms, ...precondition });
  const { id, state, seq, verdict, commit } = written;
  const shown = { id, state, seq, verdict, commit, signedBy: key ? key.actor : 'node' };
  out.show(shown, () => describeWritten(written));
}

function registerGet(group: Command): void {
  const { command, does } = addCommand<ReadOptions>(group, 'get <key>', "print a key's value", [
    'x0t kv get greeting',
    'x0t kv get greeting --level accepted --json',
  ]);
  withNode(command).addOption(levelOption());
  does(async (out, options, key = '') => {
    const found = await (await clientOf(options)).getKv(key, options.level);
    if (out.isJson) {
      out.show({ ...found, text: textOf(found) }, () => '');
      return;
    }
    const value = Buffer.from(found.value, 'base64');
    if (!process.stdout.isTTY) {
      process.stdout.write(value);
      return;
    }
    const { text, isWhole } = printableBytes(value);
    process.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
    if (!isWhole) remark(': controls are escaped on a terminal; a file or a pipe gets the bytes');
  });
}

function registerList(group: Command): void {
  const { command, does } = addCommand<ListOptions>(group, 'list', 'list keys', [
    'x0t kv list --prefix app/',
  ]);
  withNode(command)
    .addOption(levelOption())
    .option('--prefix <prefix>', 'only keys that begin with this', '')
    .option('--after <key>', 'only keys after this one')
    .option('--limit <count>', 'keys at most', wholeNumber(1, 1000), 100);
  does(async (out, options) => {
    const { prefix, after, limit, level } = options;
    const query = { prefix, limit, level, ...(after !== undefined && { after }) };
    const page = await (await clientOf(options)).listKv(query);
    out.show(page, () => {
      const rows = page.entries.map((one) => [one.key, describe(one)] as const);
      const more = page.next === undefined ? '' : moreAfter(page.next);
      return rows.length === 0 ? 'no keys\n' : columns(rows) + more;
    });
  });
}

/** Where the next page begins: a key of others, to be pasted into a shell. */
function moreAfter(key: string): string {
  return inLine(key) === key
    ? `more: --after ${shellWord(key)}\n`
    : 'more: after a key with controls, which --json shows as `next`\n';
}

function describe({ value, type, seq, ts_ms }: KvJson): string {
  const bytes = Buffer.byteLength(value, 'base64');
  return `seq ${seq}  ${utc(ts_ms)}  ${bytes} bytes${type === undefined ? '' : `  ${type}`}`;
}

function levelOption(): Option {
  return new Option('--level <level>', 'final: ordered for good; accepted: with what is on its way')
    .choices(['accepted', 'final'])
    .default('final');
}

const anySeq = wholeNumber(0, Number.MAX_SAFE_INTEGER);

function valueOf(text: string | undefined, file: string | undefined): Uint8Array {
  if ((text === undefined) === (file === undefined)) {
    fail('usage', 'Give either a value or --file FILE.');
  }
  if (file === undefined) return new TextEncoder().encode(text);
  // a file descriptor: 0 is stdin
  return readInput(file === '-' ? 0 : file);
}

/** The value as text where it is UTF-8. */
function textOf({ value }: KvJson): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(value, 'base64'));
  } catch {
    return undefined;
  }
}
