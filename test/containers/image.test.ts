import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import test from 'ava';
import { ROOT, canReproduce, docker, imageName, shell } from './support.ts';

/** The image: the same from the same tree, small, and allowed nothing that a node does not need. */

const MINUTE_MS = 60_000;
/** Of its archive, which is what travels. */
const ARCHIVE_BYTES_MAX = 100 * 1024 * 1024;
const isReproducible = await canReproduce();
const ifReproducible = isReproducible ? test.serial : test.serial.skip;
/** Lines `NAME DIGEST` that the first build printed. */
let built = '';

const DIGESTS = /^x0t:([0-9a-f]{16}) sha256:[0-9a-f]{64}\nx0t-chaos:\1 sha256:[0-9a-f]{64}\n$/;

async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

test.serial('deploy/build makes images under the tag that --tag-only tells', async (t) => {
  t.timeout(10 * MINUTE_MS);
  const { code, stdout, all } = await shell('deploy/build');
  t.is(code, 0, all);
  t.regex(stdout, DIGESTS);
  built = stdout;
  const tag = (await shell('deploy/build --tag-only')).stdout.trim();
  t.is(imageName(), `x0t:${tag}`);
  t.true(built.startsWith(`x0t:${tag} `));
  // a check that did not run says so, and none is called good that was not made
  t.regex(all, /^licences: ok, \d+ packages/m);
  t.regex(all, /^secrets: ok, \d+ files/m);
  t.regex(all, /^gitleaks: (?:ok|not run: .+)$/m);
  t.regex(all, /^vulnerabilities: (?:ok|not run: .+)$/m);
});

test.serial('the stand-in base is byte-identical when it is made again', async (t) => {
  t.timeout(5 * MINUTE_MS);
  const folder = await mkdtemp(join(tmpdir(), 'x0t-base-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const { code, stdout, all } = await shell(`deploy/base-image ${folder}`);
  t.is(code, 0, all);
  t.is(stdout, await readFile(join(ROOT, 'dist/base/name.txt'), 'utf8'));
  t.is(await sha256(join(folder, 'base.tar')), await sha256(join(ROOT, 'dist/base/base.tar')));
});

ifReproducible('a second build without cached layers gives the same digests', async (t) => {
  t.timeout(10 * MINUTE_MS);
  const tag = imageName().replace('x0t:', '');
  const beside = ['cdx', 'provenance'].map((kind) => join(ROOT, `dist/x0t-${tag}.${kind}.json`));
  const before = await Promise.all(beside.map(sha256));
  const { code, stdout, all } = await shell('deploy/build --again');
  t.is(code, 0, all);
  t.is(stdout, built);
  t.deepEqual(await Promise.all(beside.map(sha256)), before, 'what stands beside is the same, too');
});

test.serial('bill of materials and provenance name the image and its parts', async (t) => {
  const [, digest = ''] = /^x0t:\S+ sha256:(\S+)/.exec(built) ?? [];
  const tag = imageName().replace('x0t:', '');
  const sbom = JSON.parse(await readFile(join(ROOT, `dist/x0t-${tag}.cdx.json`), 'utf8'));
  t.is(sbom.bomFormat, 'CycloneDX');
  const names = new Set((sbom.components as { name: string }[]).map(({ name }) => name));
  for (const name of ['@oqs/liboqs-js', 'classic-level', 'libc6']) t.true(names.has(name), name);
  t.false(names.has('ava'), 'no development dependency');
  const file = join(ROOT, `dist/x0t-${tag}.provenance.json`);
  const { subject, predicate } = JSON.parse(await readFile(file, 'utf8'));
  t.deepEqual(subject[0], { name: imageName(), digest: { sha256: digest } });
  const base = (await readFile(join(ROOT, 'dist/base/name.txt'), 'utf8')).trim();
  t.is(predicate.buildDefinition.externalParameters.base, base);
  t.is(base.split('@sha256:')[1], predicate.buildDefinition.resolvedDependencies[0].digest.sha256);
});

test.serial('the image runs as nobody in particular, has a health check and labels', async (t) => {
  const [image] = JSON.parse(await docker('image', 'inspect', imageName()));
  const { User, Labels, Healthcheck, Entrypoint, Env } = image.Config;
  t.is(User, '10001:10001');
  t.is(Labels['org.opencontainers.image.licenses'], 'Apache-2.0');
  t.is(Labels['dev.x0tta6bl4.content'], imageName().replace('x0t:', ''));
  t.is(Healthcheck.Test[0], 'CMD');
  t.is(Entrypoint[0], 'node');
  t.true((Env as string[]).includes('NODE_ENV=production'));
  if (isReproducible) t.true(image.Size < ARCHIVE_BYTES_MAX, `${image.Size} bytes`);
});

test.serial('without any right, on a read-only root, it makes keys with liboqs', async (t) => {
  t.timeout(2 * MINUTE_MS);
  const bare = '--rm --pull=never --read-only --cap-drop=ALL --security-opt=no-new-privileges';
  const script = [
    'grep -E "^(CapEff|CapBnd|NoNewPrivs|Seccomp):" /proc/self/status',
    'x0t init --data /data/n >/dev/null && x0t audit /data/n 2>&1 | grep -o store_missing',
    'touch /app/x 2>/dev/null && echo written',
    'ls /app | tr "\\n" " "',
  ].join('; ');
  const mounts = '--tmpfs=/data:uid=10001,mode=700 --tmpfs=/tmp --network=none --entrypoint=sh';
  const { code, all } = await shell(`docker run ${bare} ${mounts} ${imageName()} -c '${script}'`);
  t.is(code, 0, all);
  t.regex(all, /CapEff:\s+0{16}\n/);
  t.regex(all, /CapBnd:\s+0{16}\n/);
  t.regex(all, /NoNewPrivs:\s+1\n/);
  t.regex(all, /store_missing/);
  t.false(all.includes('written'));
  t.false(/\b(?:test|bench|docs)\b/.test(all.split('\n').at(-1) ?? ''));
});
