import type { Command } from 'commander';
import { submissionOf } from '#governance/participant.ts';
import { decode } from '#ledger/codec.ts';
import { X0tError, fail } from '#ledger/errors.ts';
import { decodeEntry } from '#ledger/event.ts';
import type { Body, Entry } from '#ledger/event.ts';
import { linkOf, parseId } from '#ledger/ids.ts';
import type { EventJson } from '#node/api/render.ts';
import { addCommand } from './command.ts';
import { readInput, saveNew } from './files.ts';
import { columns, utc } from './output.ts';
import { clientOf } from './client.ts';
import { withNode } from './places.ts';
import type { NodeOptions } from './places.ts';
import { handOver, signOnly, signingKey, submitSigned } from './signing.ts';
import { describeWritten, withWriting } from './writing.ts';
import type { WritingOptions } from './writing.ts';

interface SubmitOptions extends WritingOptions {
  readonly file?: string;
  readonly save?: string;
}

export function registerEvent(program: Command): void {
  const group = program.command('event').description('submit and show events');
  registerSubmit(group);

  const shown = addCommand<NodeOptions>(group, 'show <id>', 'an event and its verdict', [
    'x0t event show bafyrei…',
  ]);
  withNode(shown.command);
  shown.does(async (out, options, id = '') => {
    parseId(id);
    const event = await (await clientOf(options)).event(id);
    out.show(event, () => describe(event));
  });
}

function registerSubmit(group: Command): void {
  const usage = 'submit [kind] [body]';
  const about = 'sign and submit an event; body is JSON with bytes as {"$bytes": "base64"}';
  const { command, does } = addCommand<SubmitOptions>(group, usage, about, [
    'x0t event submit kv.put/1 \'{"key":"greeting","value":{"$bytes":"aGVsbG8="}}\' --wait',
    'x0t event submit kv.delete/1 \'{"key":"greeting"}\' --save event.cbor',
    'x0t event submit --file event.cbor',
  ]);
  withWriting(command)
    .option('--file <file>', 'submit a signed event: DAG-CBOR [entry, COSE_Key]')
    .option('--save <file>', 'sign, write that to a new file and send nothing');
  does(async (out, options, kind, json) => {
    const client = await clientOf(options);
    const { wait = false, timeout, file, save } = options;
    const timeout_ms = timeout * 1000;
    if (file !== undefined) {
      const { entry, coseKey } = readSigned(file);
      const written = await handOver(client, entry, coseKey, wait, timeout_ms);
      out.show(written, () => describeWritten(written));
      return;
    }
    if (kind === undefined || json === undefined) {
      fail('usage', 'Give a kind and a body, or --file FILE.');
    }
    const key =
      (await signingKey(options)) ?? fail('usage', 'Name a key that signs with --key FILE.');
    if (save === undefined) {
      const written = await submitSigned(client, key, kind, bodyOf(json), wait, timeout_ms);
      out.show(written, () => describeWritten(written));
      return;
    }
    const { id, bytes } = await signOnly(client, key, kind, bodyOf(json));
    saveNew(save, submissionOf({ bytes }, key.coseKey));
    out.show({ file: save, id }, () => `saved: ${save}`);
  });
}

function readSigned(file: string): { readonly entry: Entry; readonly coseKey: Uint8Array } {
  const pair = decode(readInput(file));
  const [entry, coseKey] = Array.isArray(pair) ? (pair as unknown[]) : [];
  if (!(entry instanceof Uint8Array) || !(coseKey instanceof Uint8Array)) {
    return fail('wrong_type', 'The file holds no pair of an entry and its COSE_Key.', { file });
  }
  return { entry: decodeEntry(entry), coseKey };
}

function bodyOf(json: string): Body {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    throw new X0tError('usage', 'The body is no JSON.', {}, { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return fail('usage', 'The body is a JSON object.');
  }
  return fromJson(value) as Body;
}

/**
 * The reverse of `jsonSafe`: `{"$bytes": base64}` and `{"$link": CID}` stand for bytes and links.
 */
function fromJson(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(fromJson);
  const entries = Object.entries(value);
  const [only] = entries;
  if (only && entries.length === 1 && typeof only[1] === 'string') {
    if (only[0] === '$bytes') return bytesOf(only[1]);
    if (only[0] === '$link') return linkOf(parseId(only[1]));
  }
  return Object.fromEntries(entries.map(([name, inner]) => [name, fromJson(inner)]));
}

function bytesOf(base64: string): Uint8Array {
  try {
    return Uint8Array.fromBase64(base64);
  } catch (cause) {
    throw new X0tError('usage', '$bytes takes base64.', {}, { cause });
  }
}

function describe({
  id,
  state,
  seq,
  verdict,
  commit,
  ts_ms,
  block,
  signed,
  event,
}: EventJson): string {
  const rows: (readonly [string, string | number])[] = [
    ['id', id],
    ['state', state],
  ];
  if (seq !== undefined) rows.push(['seq', seq]);
  if (verdict !== undefined) rows.push(['verdict', verdict]);
  if (commit !== undefined && ts_ms !== undefined)
    rows.push(['commit', `${commit}, ${utc(ts_ms)}`]);
  if (block) rows.push(['block', `round ${block.round}, author ${block.author}, ${block.id}`]);
  const { onBehalfOf } = event as { readonly onBehalfOf?: string };
  if (onBehalfOf !== undefined) rows.push(['for', onBehalfOf]);
  rows.push(['signed', signed ? 'by its actor' : "by its block's author, who is its actor"]);
  return `${columns(rows)}${JSON.stringify(event, undefined, 2)}\n`;
}
