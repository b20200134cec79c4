import type { Command } from 'commander';
import { X0tError, fail } from '#ledger/errors.ts';
import { parseEntry } from '#projections/identity-entries.ts';
import type { IdentitiesJson } from '#node/api/identity.ts';
import { isLoopbackUrl } from '#node/auth/request-target.ts';
import { replaceFile } from '#node/private-file.ts';
import { addCommand, collect, wholeNumber } from './command.ts';
import { actorOf, operate } from './operate.ts';
import { columns, counted, utc } from './output.ts';
import type { Output } from './output.ts';
import { clientOf } from './client.ts';
import { withNode } from './places.ts';
import type { NodeOptions } from './places.ts';
import { foreignBundle } from './foreign-bundle.ts';
import type { EndpointOptions } from './foreign-bundle.ts';
import { withWriting } from './writing.ts';
import type { WritingOptions } from './writing.ts';

interface EntryOptions extends WritingOptions {
  readonly selector?: readonly string[];
  readonly x509Ttl?: number;
  readonly jwtTtl?: number;
  readonly hint?: string;
  readonly federatesWith?: readonly string[];
  readonly node?: readonly string[];
}

const TTL_S_MAX = 24 * 3600;

/** `x0t identity`: who has which SPIFFE identity in a network (docs/identity.md). */
export function registerIdentity(program: Command): void {
  const about = 'who has which SPIFFE identity: entries, issuers and federation';
  const group = program.command('identity').description(about);

  const show = addCommand<NodeOptions>(group, 'show', 'entries, issuers, keys and federation', [
    'x0t identity show',
  ]);
  withNode(show.command);
  show.does(async (out, options) => {
    const shown = await (await clientOf(options)).identities();
    out.show(shown, () => describe(shown));
  });

  const bundle = addCommand<NodeOptions & { readonly out?: string }>(
    group,
    'bundle',
    "the bundle of the network's trust domain, by which nodes are judged at https addresses",
    [
      'x0t identity bundle -o bundle.json',
      'x0t identity bundle -o bundle.json --trust-bundle bundle.json --url https://192.0.2.7:8443',
    ],
  );
  withNode(bundle.command).option('-o, --out <file>', 'write it here, over what is there');
  bundle.does(async (out, options) => {
    const client = await clientOf(options);
    assertProved(client.url);
    const document = await client.identityBundle();
    const text = new TextDecoder().decode(document);
    if (options.out === undefined) out.show(JSON.parse(text) as object, () => text);
    else await saveBundle(out, options.out, text);
  });

  registerEntry(group);
  registerTrust(group);
}

/** Who answers says whom to believe: throws `usage` where that could be anybody. */
function assertProved(url: string): void {
  const parsed = new URL(url);
  if (parsed.protocol === 'https:' || isLoopbackUrl(parsed)) return;
  const message =
    'At a plain address anybody could answer: fetch the bundle on the machine of the node, or at ' +
    'an https address.';
  fail('usage', message, { url });
}

/** The file is never seen half written: commands that run may read it. */
async function saveBundle(out: Output, file: string, text: string): Promise<void> {
  const { readTrustBundle } = await import('#node/identity/trust-bundle.ts');
  const document = new TextEncoder().encode(text);
  const { trustDomain, sequence, x509 } = readTrustBundle(document, undefined);
  await replaceFile(file, `${text}\n`).catch((cause: unknown) => {
    throw new X0tError('file_unwritable', 'The file cannot be written.', { file }, { cause });
  });
  const shown = { file, trustDomain, sequence: String(sequence ?? ''), authorities: x509.length };
  out.show(shown, () => columns(Object.entries(shown)));
}

function registerEntry(group: Command): void {
  const entry = addCommand<EntryOptions>(
    group,
    'entry <id> <spiffe-id>',
    'give processes of the hosts a SPIFFE ID; all selectors must hold of one',
    [
      'x0t identity entry db spiffe://alpha.00a1b2c3d4e5f607/db --selector unix:uid:1000 --wait',
      'x0t identity entry web spiffe://alpha.00a1b2c3d4e5f607/web --selector unix:uid:33 ' +
        '--selector unix:path:/usr/sbin/nginx --x509-ttl 600 --wait',
    ],
  );
  withWriting(entry.command)
    .option('--selector <selector>', 'unix:uid:N, unix:gid:N, unix:path:P, unix:sha256:H', collect)
    .option('--x509-ttl <seconds>', 'life of its certificates', wholeNumber(1, TTL_S_MAX))
    .option('--jwt-ttl <seconds>', 'life of its tokens', wholeNumber(1, TTL_S_MAX))
    .option('--hint <text>', 'tells a workload with several identities which is for what')
    .option('--federates-with <domain>', 'foreign trust domain whose bundle it gets', collect)
    .option('--node <actor>', 'only on the host of this node', collect);
  entry.does(async (out, options, id = '', spiffeId = '') => {
    const { selector = [], x509Ttl, jwtTtl, hint, federatesWith, node } = options;
    const text = {
      spiffeId,
      selectors: selector,
      ...(x509Ttl !== undefined && { x509Ttl_s: x509Ttl }),
      ...(jwtTtl !== undefined && { jwtTtl_s: jwtTtl }),
      ...(hint !== undefined && { hint }),
      ...(federatesWith && { federatesWith }),
    };
    // the node would give the event a place in the log and a verdict: say it before
    parseEntry({ id, ...text, ...(node && { nodes: node }) });
    const nodes = node?.map(actorOf);
    await operate(out, options, 'identity.entry/1', {
      id,
      entry: { ...text, ...(nodes && { nodes }) },
    });
  });

  const remove = addCommand<WritingOptions>(group, 'remove <id>', 'remove an entry', [
    'x0t identity remove db --wait',
  ]);
  withWriting(remove.command);
  remove.does((out, options, id = '') => operate(out, options, 'identity.entry/1', { id }));
}

function registerTrust(group: Command): void {
  const issuer = addCommand<WritingOptions & { readonly forbid?: boolean }>(
    group,
    'issuer <actor>',
    'allow a node to issue identities, or forbid it and drop its keys from the bundle',
    ['x0t identity issuer 4f2a… --wait', 'x0t identity issuer 4f2a… --forbid --wait'],
  );
  withWriting(issuer.command).option('--forbid', 'it issues no more');
  issuer.does((out, options, actor = '') =>
    operate(out, options, 'identity.issuer/1', {
      actor: actorOf(actor),
      allowed: options.forbid !== true,
    }),
  );

  const revoke = addCommand<WritingOptions>(
    group,
    'revoke <actor> <kid>',
    'take the keys of an issuer out of the bundle: what they signed counts no more',
    ['x0t identity revoke 4f2a… Zb3k… --wait'],
  );
  withWriting(revoke.command);
  revoke.does((out, options, actor = '', kid = '') =>
    operate(out, options, 'identity.revocation/1', { actor: actorOf(actor), kid }),
  );

  const federate = addCommand<FederateOptions>(
    group,
    'federate <domain> [source]',
    'hold the bundle of a foreign trust domain: from its endpoint, where validators fetch it ' +
      'again from time to time, or from a file (-: stdin)',
    [
      'x0t identity federate other.example https://other.example/bundle.json --wait',
      'x0t identity federate other.example https://192.0.2.7:8443/ ' +
        '--endpoint-id spiffe://other.example/bundle --bundle first.json --wait',
      'x0t identity federate other.example bundle.json --wait',
    ],
  );
  withWriting(federate.command)
    .option('--endpoint-id <spiffe-id>', 'the endpoint shows an X.509-SVID of this ID')
    .option('--bundle <file>', "with --endpoint-id: the bundle of the endpoint's trust domain")
    .option('--end', 'hold it no more');
  federate.does(async (out, options, trustDomain = '', source) => {
    const { end = false } = options;
    if (end === (source !== undefined)) fail('usage', 'Give a source of the bundle, or --end.');
    const found = source === undefined ? {} : await foreignBundle(trustDomain, source, options);
    await operate(out, options, 'identity.federation/1', { trustDomain, ...found });
  });
}

interface FederateOptions extends WritingOptions, EndpointOptions {
  readonly end?: boolean;
}

function describe(shown: IdentitiesJson): string {
  const { trustDomain, entries, issuers, authorities, federations } = shown;
  const rows = [
    ['trust domain', trustDomain] as const,
    ...issuers.map((actor) => ['issuer', actor] as const),
    ...authorities.map(({ actor, kid, notAfter_ms }) => {
      return ['keys', `${kid} of ${actor.slice(0, 8)}… until ${utc(notAfter_ms)}`] as const;
    }),
  ];
  const foreign = federations.map((one) => {
    return `\n# ${one.trustDomain}, federated\n${columns(federationLines(one))}`;
  });
  const texts = entries.map(({ id, spiffeId, selectors, x509Ttl_s, jwtTtl_s, nodes }) => {
    const lines = [
      ['id', spiffeId] as const,
      ...selectors.map((selector) => ['selector', selector] as const),
      ['lives', `certificates ${x509Ttl_s} s, tokens ${jwtTtl_s} s`] as const,
      ...(nodes ?? []).map((actor) => ['on', actor] as const),
    ];
    return `\n# ${id}\n${columns(lines)}`;
  });
  return columns(rows) + texts.join('') + foreign.join('');
}

function federationLines(one: IdentitiesJson['federations'][number]): [string, string][] {
  const { endpoint, sequence, changed_ms, pending, fetch } = one;
  const id = endpoint?.id === undefined ? '' : `, ${endpoint.id}`;
  const where = endpoint ? `${endpoint.url} (${endpoint.profile}${id})` : 'none: not refreshed';
  const failure = fetch?.failure && `${utc(fetch.failure.at_ms)}, ${fetch.failure.code}`;
  return [
    ['endpoint', where],
    ['sequence', sequence ?? 'none'],
    ['refreshed', utc(changed_ms)],
    ...(pending > 0 ? [['pending', counted(pending, 'validator')] as [string, string]] : []),
    ...(fetch ? [['fetched', `${time(fetch.checked_ms)} by this node`] as [string, string]] : []),
    ...(failure === undefined ? [] : [['failed', `${failure} on this node`] as [string, string]]),
  ];
}

const time = (at_ms: number | undefined): string => (at_ms === undefined ? 'never' : utc(at_ms));
