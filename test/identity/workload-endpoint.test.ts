import test from 'ava';
import { locateEndpoint, parseEndpoint } from '#node/identity/workload-endpoint.ts';
import { refusalIn } from './rules.ts';

/** Workload Endpoint, 4: the value of `SPIFFE_ENDPOINT_SOCKET`. */

const refused = (uri: string): string => refusalIn(() => parseEndpoint(uri));
const rule = (name: string): string => `workload_endpoint_invalid: ${name}`;

test('4: what is not configured is taken from the environment', (t) => {
  const environment = { SPIFFE_ENDPOINT_SOCKET: 'unix:///of/environment' };
  t.is(locateEndpoint('', environment), 'unix:///of/environment');
  t.is(locateEndpoint('unix:///configured', environment), 'unix:///configured');
  t.is(locateEndpoint('', {}), '');
});

test('4: the scheme is unix or tcp', (t) => {
  for (const uri of ['/run/agent.sock', 'http://127.0.0.1:80', 'UNIX:///a', 'npipe:a', '']) {
    t.is(refused(uri), rule('scheme'), uri);
  }
});

test('4: unix has an absolute path and no authority', (t) => {
  t.is(parseEndpoint('unix:///run/agent.sock').target, 'unix:///run/agent.sock');
  t.is(parseEndpoint('unix:/run/agent.sock').target, 'unix:///run/agent.sock');
  t.is(refused('unix://host/run/agent.sock'), rule('authority'));
  t.is(refused('unix:run/agent.sock'), rule('path'));
  t.is(refused('unix://'), rule('path'));
  t.is(refused('unix:///'), rule('path'));
  t.is(refused('unix:///a?b'), rule('component'));
  t.is(refused('unix:///a#b'), rule('component'));
});

test('4: tcp has an IP address and a port, and nothing else', (t) => {
  t.is(parseEndpoint('tcp://127.0.0.1:8000').target, 'ipv4:127.0.0.1:8000');
  t.is(parseEndpoint('tcp://[::1]:8000').target, 'ipv6:[::1]:8000');
  for (const uri of [
    'tcp://127.0.0.1', 'tcp://127.0.0.1:8000/foo', 'tcp://127.0.0.1:8000/', 'tcp:127.0.0.1:8000',
    'tcp://user@127.0.0.1:80', 'tcp://127.0.0.1:80?a', 'tcp://127.0.0.1:x',
  ]) {
    t.is(refused(uri), rule('tcp'), uri);
  }
  t.is(refused('tcp://localhost:8000'), rule('host'));
  t.is(refused('tcp://[localhost]:8000'), rule('host'));
  t.is(refused('tcp://256.0.0.1:8000'), rule('host'));
  t.is(refused('tcp://127.0.0.1:0'), rule('port'));
  t.is(refused('tcp://127.0.0.1:65536'), rule('port'));
});
