/**
 * `deploy/build`: the image of this tree under a tag that follows from its content, with what is in
 * it and how it was made beside it. See docs/containers.md.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { checkImage } from './checks.ts';
import { DOCKERFILE, EPOCH_S, contentFiles, contentTag, sha256, stage } from './content.ts';
import type { ContentFile } from './content.ts';
import { provenance } from './provenance.ts';
import { run, tryRun } from './run.ts';
import { makeSbom } from './sbom.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const HELP = `deploy/build [--base NAME@DIGEST] [--output DIR] [--ca FILE] [--again] [--tag-only]

  --base      a Debian image with Node 26 and npm, by its digest; else the stand-in of
              deploy/base-image is made and taken
  --output    where archive, SBOM and provenance go (default: dist)
  --ca        authorities for npm inside the build (default: $NODE_EXTRA_CA_CERTS)
  --again     builds though the tag is there, without cached layers, and compares
  --tag-only  prints the tag and builds nothing`;

/** Image names by what they are built to. */
const TARGETS = { node: 'x0t', chaos: 'x0t-chaos' } as const;
type Target = keyof typeof TARGETS;

interface Options {
  readonly base?: string;
  readonly output: string;
  readonly ca?: string;
  readonly again: boolean;
  readonly 'tag-only': boolean;
  readonly help: boolean;
}

function main(options: Options): void {
  const { output } = options;
  mkdirSync(output, { recursive: true });
  const base = options.base ?? standIn(output, options['tag-only']);
  const files = contentFiles(ROOT);
  const tag = contentTag(ROOT, files, base);
  if (options['tag-only']) {
    console.log(tag);
    return;
  }
  const digests: Record<string, string> = {};
  for (const target of Object.keys(TARGETS) as Target[]) {
    const name = `${TARGETS[target]}:${tag}`;
    digests[name] = buildOne(name, target, files, base, tag, options);
  }
  const sbom = makeSbom(ROOT, { base, digests, packages: join(output, 'base', 'packages.txt') });
  writeJson(join(output, `x0t-${tag}.cdx.json`), sbom);
  writeJson(join(output, `x0t-${tag}.provenance.json`), provenance(ROOT, { base, tag, digests }));
  const isClean = checkImage(sbom, files, join(output, `x0t-${tag}.tar`));
  // what Compose reads beside its file
  const env = Object.entries(TARGETS).map(([target, name]) => {
    return `X0T_${target === 'node' ? '' : 'CHAOS_'}IMAGE=${name}:${tag}\n`;
  });
  writeFileSync(join(ROOT, 'deploy', '.env'), env.join(''));
  for (const [name, digest] of Object.entries(digests)) console.log(`${name} ${digest}`);
  if (!isClean) process.exitCode = 1;
}

/**
 * The stand-in's name with its digest. Made once for an output folder, and again when what makes it
 * has changed; loaded if need be.
 */
function standIn(output: string, isNameEnough: boolean): string {
  const folder = join(output, 'base');
  const [note, made] = [join(folder, 'name.txt'), join(folder, 'made-from.txt')];
  const script = join(ROOT, 'deploy', 'base-image');
  const { optionalDependencies } = readManifest();
  const inputs = readFileSync(script, 'utf8') + JSON.stringify(optionalDependencies);
  const from = sha256(Buffer.from(inputs));
  if (!existsSync(made) || readFileSync(made, 'utf8') !== from) {
    writeFileSync(note, run(script, [folder], ROOT));
    writeFileSync(made, from);
  }
  const name = readFileSync(note, 'utf8').trim();
  if (!isNameEnough && imageId(name) === undefined) load(join(folder, 'base.tar'), name);
  return name;
}

function readManifest(): { readonly version: string; readonly optionalDependencies: object } {
  return JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
}

function buildOne(
  name: string,
  target: Target,
  files: readonly ContentFile[],
  base: string,
  tag: string,
  { output, ca, again }: Options,
): string {
  const before = imageId(name);
  if (before !== undefined && !again) return before;
  const context = mkdtempSync(join(tmpdir(), 'x0t-context-'));
  const archive = join(output, `${TARGETS[target]}-${tag}.tar`);
  const { version } = readManifest();
  const values = { BASE: base, TAG: tag, VERSION: version, SOURCE_DATE_EPOCH: EPOCH_S };
  try {
    stage(files, context);
    run('docker', [
      'buildx',
      'build',
      `--file=${join(ROOT, DOCKERFILE)}`,
      `--target=${target}`,
      ...Object.entries(values).map(([key, value]) => `--build-arg=${key}=${value}`),
      ...(ca === undefined ? [] : [`--secret=id=ca,src=${ca}`]),
      // what both have in common is built anew with the first
      ...(again && target === 'node' ? ['--no-cache'] : []),
      '--provenance=false',
      '--sbom=false',
      '--progress=plain',
      `--output=type=oci,dest=${archive},rewrite-timestamp=true`,
      context,
    ]);
  } finally {
    rmSync(context, { recursive: true, force: true });
  }
  if (before === undefined) return load(archive, name);
  const digest = digestOf(archive);
  if (digest !== before) throw new Error(`${name} is ${before}, and was built as ${digest} now`);
  return digest;
}

/** Loads an archive under a name, which keeps meaning what it means if it is there. */
function load(archive: string, name: string): string {
  const printed = run('docker', ['load', '--quiet', `--input=${archive}`]);
  const id = /sha256:[0-9a-f]{64}/.exec(printed)?.[0];
  if (id === undefined) throw new Error(`docker load printed no id: ${printed}`);
  run('docker', ['tag', id, name.replace(/@.*/, '')]);
  return id;
}

function imageId(name: string): string | undefined {
  const { code, stdout } = tryRun('docker', ['image', 'inspect', '--format={{.Id}}', name]);
  return code === 0 ? stdout.trim() : undefined;
}

/** The digest of the one image in an OCI archive. */
function digestOf(archive: string): string {
  const index = JSON.parse(run('tar', ['-xOf', archive, 'index.json'])) as {
    readonly manifests: readonly { readonly digest: string }[];
  };
  return index.manifests[0]?.digest ?? '';
}

function writeJson(file: string, value: unknown): void {
  writeFileSync(file, `${JSON.stringify(value, undefined, 2)}\n`);
}

const { values } = parseArgs({
  options: {
    base: { type: 'string' },
    output: { type: 'string', default: join(ROOT, 'dist') },
    ca: { type: 'string' },
    again: { type: 'boolean', default: false },
    'tag-only': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) console.log(HELP);
else main(values);
