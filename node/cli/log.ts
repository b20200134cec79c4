import type { Command } from 'commander';
import { fail } from '#ledger/errors.ts';
import type { EventJson } from '#node/api/render.ts';
import type { Client } from '#node/client.ts';
import { addCommand, wholeNumber } from './command.ts';
import { utc } from './output.ts';
import type { Output } from './output.ts';
import { inLine } from './printable.ts';
import { clientOf } from './client.ts';
import { withNode } from './places.ts';
import type { NodeOptions } from './places.ts';
import { stopRequest } from './signals.ts';

interface Options extends NodeOptions {
  readonly from?: number;
  readonly limit: number;
  readonly follow?: boolean;
}

const PAGE_EVENTS = 1000;
const LIMIT_MAX = 1_000_000;
/** Characters of an actor in a line of text. */
const ACTOR_CHARS = 12;

export function registerLog(program: Command): void {
  const { command, does } = addCommand<Options>(program, 'log', 'print the final log', [
    'x0t log',
    'x0t log --from 1 --limit 1000 --json',
    'x0t log --follow',
  ]);
  withNode(command)
    .option(
      '--from <seq>',
      'first event (default: so that the last ones are shown)',
      wholeNumber(1, 2 ** 48),
    )
    .option('--limit <count>', 'events at most, without --follow', wholeNumber(1, LIMIT_MAX), 100)
    .option('--follow', 'print events as they become final, until Ctrl-C');
  does(async (out, options) => {
    const client = await clientOf(options);
    await (options.follow ? follow(client, out, options) : print(client, out, options));
  });
}

async function print(client: Client, out: Output, { from, limit }: Options): Promise<void> {
  let next = from ?? Math.max(1, (await client.status()).finalSeq - limit + 1);
  for (let left = limit; left > 0;) {
    const page = await client.log({ from: next, limit: Math.min(left, PAGE_EVENTS) });
    for (const event of page.events) show(out, event);
    left -= page.events.length;
    if (page.next === undefined || page.events.length === 0) return;
    next = page.next;
  }
}

async function follow(client: Client, out: Output, { from }: Options): Promise<void> {
  const ended = new AbortController();
  void stopRequest().then(() => ended.abort());
  for await (const event of client.follow(from, ended.signal)) show(out, event);
  if (!ended.signal.aborted) {
    fail('node_unreachable', 'The node ended the stream: it is stopping.', { url: client.url });
  }
}

interface Shown {
  readonly kind: string;
  readonly actor: string;
  /** An actor or a SPIFFE ID. */
  readonly onBehalfOf?: string;
}

const brief = (name: string): string =>
  name.startsWith('spiffe://') ? name : name.slice(0, ACTOR_CHARS);

function show(out: Output, event: EventJson): void {
  out.show(event, () => {
    const { kind, actor, onBehalfOf } = event.event as Shown;
    const { seq = 0, ts_ms = 0, verdict = '', id } = event;
    const whom = onBehalfOf === undefined ? '' : ` for ${brief(onBehalfOf)}`;
    const cells = [seq, utc(ts_ms), verdict, kind, `${brief(actor)}${whom}`, id];
    return cells.map((one) => inLine(String(one))).join('  ');
  });
}
