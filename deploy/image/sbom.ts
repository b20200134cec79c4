/**
 * The bill of materials of the image: CycloneDX from npm, with the packages of the stand-in base.
 * What changes from run to run or from machine to machine is taken out, so that two runs over one
 * tree give the same document.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { EPOCH_S } from './content.ts';
import { run } from './run.ts';

interface Licence {
  readonly license?: { readonly id?: string; readonly name?: string };
  readonly expression?: string;
}

export interface Component {
  readonly name: string;
  readonly version: string;
  readonly purl: string;
  readonly licenses?: readonly Licence[];
}

export interface Sbom {
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly components: readonly Component[];
}

interface Image {
  readonly base: string;
  readonly digests: Readonly<Record<string, string>>;
  /** The list that `deploy/base-image` writes; another base says by itself what is in it. */
  readonly packages: string;
}

export function makeSbom(root: string, { base, digests, packages }: Image): Sbom {
  const what = ['--sbom-format=cyclonedx', '--omit=dev', '--package-lock-only'];
  const text = run('npm', ['sbom', ...what], root);
  const { serialNumber: _random, ...made } = JSON.parse(text) as Sbom & { serialNumber: string };
  const absent = notInImage(root);
  const isStandIn = base.startsWith('x0t-base:') && existsSync(packages);
  return {
    ...made,
    metadata: {
      ...made.metadata,
      timestamp: new Date(EPOCH_S * 1000).toISOString(),
      component: {
        'bom-ref': 'image',
        type: 'container',
        name: 'x0t',
        licenses: [{ license: { id: 'Apache-2.0' } }],
        properties: [
          { name: 'base', value: base },
          ...Object.entries(digests).map(([name, value]) => ({ name, value })),
        ],
      },
    },
    components: [
      ...made.components
        .filter(({ purl }) => !absent.has(decodeURIComponent(purl)))
        .map((one) => ({ ...one, externalReferences: [] })),
      ...(isStandIn ? debianPackages(packages) : []),
    ],
  };
}

interface Locked {
  readonly version: string;
  readonly optional?: boolean;
  readonly os?: string | readonly string[];
  readonly cpu?: string | readonly string[];
}

/** What the lock file has for other machines, and Node itself, which the base has. */
function notInImage(root: string): ReadonlySet<string> {
  const text = readFileSync(join(root, 'package-lock.json'), 'utf8');
  const { packages } = JSON.parse(text) as { readonly packages: Record<string, Locked> };
  const others = Object.entries(packages).filter(([path, { optional, os = [], cpu = [] }]) => {
    const isHere = [os].flat().includes('linux') && [cpu].flat().includes(process.arch);
    return optional === true && (!isHere || path.startsWith('node_modules/node-'));
  });
  const nameOf = (path: string): string => path.replace(/.*node_modules\//, '');
  return new Set(others.map(([path, { version }]) => `pkg:npm/${nameOf(path)}@${version}`));
}

function debianPackages(file: string): Component[] {
  const lines = readFileSync(file, 'utf8').trim().split('\n');
  return lines.map((line) => {
    const [name = '', version = '', architecture = ''] = line.split(' ');
    const purl = `pkg:deb/debian/${name}@${encodeURIComponent(version)}?arch=${architecture}`;
    return { 'bom-ref': purl, type: 'library', name, version, purl };
  });
}

/** A package's licence as one SPDX expression; empty where it states none. */
export function licenceOf({ licenses = [] }: Component): string {
  return licenses
    .map(({ license, expression }) => expression ?? license?.id ?? license?.name ?? '')
    .join(' AND ');
}
