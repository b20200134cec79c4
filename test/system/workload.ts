/**
 * A throw-away workload, run by `workload.test.ts`: becomes another user, takes its SVID from the
 * socket of a node, and asks the node's API by mTLS over one connection until it is stopped. Each
 * answer is a line of JSON.
 */
import { Agent, get } from 'node:https';
import type { Certificate } from '#node/identity/certificate.ts';
import { WorkloadClient } from '#node/identity/workload-client.ts';
import { systemClock as clock, systemEntropy as entropy } from '#node/system.ts';

const [uid, socket, port, nodeId] = process.argv.slice(2);
const PAUSE_MS = 50;

const log = { debug() {}, info() {}, warn() {}, error() {} };
process.setgroups?.([]);
process.setgid?.(Number(uid));
process.setuid?.(Number(uid));

const endpoint = { target: `unix://${socket}` };
const client = new WorkloadClient({ endpoint, clock, entropy, log });
const svid = Promise.withResolvers<void>();
client.subscribe(() => {
  if (client.current.status === 'ready') svid.resolve();
});
await svid.promise;
const { chain, privateKey, id } = client.defaultSvid;
const pem = (all: readonly Certificate[]): string =>
  all.map(({ openssl }) => openssl.toString()).join('');
const agent = new Agent({
  keepAlive: true,
  maxSockets: 1,
  cert: pem(chain),
  key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
  ca: pem(client.x509AuthoritiesOf(id.trustDomain) ?? []),
  // an SVID names no host: the name that counts is its SPIFFE ID
  checkServerIdentity: (_host, { subjectaltname }) =>
    subjectaltname === `URI:${nodeId}` ? undefined : new Error(subjectaltname),
});

function ask(): void {
  const sent_ms = Date.now();
  const options = { host: '127.0.0.1', port, path: '/v1/status', agent };
  const request = get(options, (answer) => {
    const { localPort } = request.socket ?? {};
    let text = '';
    answer.setEncoding('utf8').on('data', (part: string) => (text += part));
    answer.on('end', () => {
      const { code } = JSON.parse(text) as { code?: string };
      const who = { uid: process.getuid?.(), id: id.uri, localPort, sent_ms };
      console.log(JSON.stringify({ ...who, status: answer.statusCode, code }));
      setTimeout(ask, PAUSE_MS);
    });
  });
}
ask();
