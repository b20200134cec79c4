/**
 * What the tests of the network adapter share: a real clock, a hello with Ed25519 keys, nodes on
 * loopback.
 */
import { createHash, generateKeyPairSync, sign, verify, createPublicKey } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { fail } from '#ledger/errors.ts';
import type { Clock, Log, PeerName } from '#ledger/ports.ts';
import { createNetwork, generatePeerKey } from '#p2p/index.ts';
import type { HelloAuth, ManagedNetwork, NetworkOptions } from '#p2p/index.ts';

export const CHAIN = 'c0'.repeat(32);

/** The machine's clock behind the port. */
export const realClock: Clock = {
  wall_ms: () => Date.now(),
  monotonic_ms: () => performance.now(),
  after(delay_ms, fire) {
    const timer = setTimeout(fire, delay_ms);
    return () => clearTimeout(timer);
  },
};

export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} };

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

interface Hello {
  readonly chain: string;
  readonly peer: string;
  readonly challenge: string;
  readonly key: string;
  readonly signature: string;
}

/**
 * A hello like the real one, with an Ed25519 key in place of ML-DSA-65. `forge` spoils its
 * signatures.
 */
export function testAuth(
  chain: string = CHAIN,
  forge = false,
): HelloAuth & { readonly actor: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const der = publicKey.export({ type: 'spki', format: 'der' });
  const text = (hello: Omit<Hello, 'signature'>): Uint8Array => {
    return new TextEncoder().encode(
      [hello.chain, hello.peer, hello.challenge, hello.key].join('|'),
    );
  };
  return {
    actor: sha256(der),
    make(challenge, self) {
      const body = {
        chain,
        peer: self,
        challenge: Buffer.from(challenge).toString('hex'),
        key: der.toString('hex'),
      };
      const signature = sign(null, text(body), privateKey);
      if (forge) signature[0] = (signature[0] ?? 0) ^ 1;
      return Promise.resolve(
        Buffer.from(JSON.stringify({ ...body, signature: signature.toString('hex') })),
      );
    },
    check(message, challenge, peer) {
      const hello = JSON.parse(Buffer.from(message).toString()) as Hello;
      if (hello.chain !== chain) fail('foreign_chain', 'The peer follows another chain.');
      const key: KeyObject = createPublicKey({
        key: Buffer.from(hello.key, 'hex'),
        type: 'spki',
        format: 'der',
      });
      const fresh =
        hello.challenge === Buffer.from(challenge).toString('hex') && hello.peer === peer;
      if (!fresh || !verify(null, text(hello), key, Buffer.from(hello.signature, 'hex'))) {
        fail('hello_invalid', 'The hello is not signed for this link.');
      }
      return Promise.resolve({ actor: sha256(Buffer.from(hello.key, 'hex')) });
    },
  };
}

/** Options of a node on a free loopback port that redials fast. */
export async function nodeOptions(over: Partial<NetworkOptions> = {}): Promise<NetworkOptions> {
  return {
    key: await generatePeerKey(),
    chain: CHAIN,
    listen: ['/ip4/127.0.0.1/tcp/0'],
    bootstrap: [],
    hello: testAuth(over.chain ?? CHAIN),
    clock: realClock,
    log: silentLog,
    peers_max: 16,
    backoff: { first_ms: 100, max_ms: 400 },
    ...over,
  };
}

/** A node, prepared by `prepare` and started. */
export async function startNode(
  over: Partial<NetworkOptions> = {},
  prepare: (node: ManagedNetwork) => void = () => undefined,
): Promise<ManagedNetwork> {
  const node = await createNetwork(await nodeOptions(over));
  prepare(node);
  await node.start();
  return node;
}

/** The address of a started node, with its name. */
export function addrOf(node: ManagedNetwork): string {
  return node.status().addrs[0] ?? fail('test_failed', 'The node does not listen.');
}

/** A loaded machine takes its time; what is awaited comes, or the test fails. */
const WAIT_MS = 60_000;

const LOOK_MS = 20;

/**
 * Waits until `condition` holds; throws after `timeout_ms`, counted in looks: a process that stood
 * still looks again as often as it would have, before it gives up.
 */
export async function until(
  condition: () => boolean,
  what: string,
  timeout_ms = WAIT_MS,
): Promise<void> {
  for (let waited_ms = 0; !condition(); waited_ms += LOOK_MS) {
    if (waited_ms > timeout_ms) throw new Error(`still not true after ${timeout_ms} ms: ${what}`);
    await sleep(LOOK_MS);
  }
}

let hosts = 1;

/**
 * Where a node listens that comes back on its port: an address of its own, as all of 127/8 is
 * loopback on Linux, so that nobody takes the port meanwhile.
 */
export function ownHost(): string {
  hosts += 1;
  return process.platform === 'linux' ? `/ip4/127.0.${hosts}.1/tcp/0` : '/ip4/127.0.0.1/tcp/0';
}

/** Requests of tests: as patient as `until`. */
export const PATIENT = { timeout_ms: WAIT_MS, responseBytes_max: 100 } as const;

export function sleep(delay_ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, delay_ms);
  });
}

/** Every node sees every other one, and all gossip streams are open. */
export async function untilMeshed(
  nodes: readonly ManagedNetwork[],
  timeout_ms = WAIT_MS,
): Promise<void> {
  await until(
    () =>
      nodes.every((node) => {
        const { peers } = node.status();
        return peers.length === nodes.length - 1 && peers.every((peer) => peer.gossip === 'both');
      }),
    'full mesh',
    timeout_ms,
  );
}

/** All chunks of an answer. */
export async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return all;
}

export function linked(node: ManagedNetwork, peer: PeerName): boolean {
  return node.peers().some((each) => each.peer === peer);
}
