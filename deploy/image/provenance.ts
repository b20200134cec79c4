/**
 * Where an image comes from, as an in-toto statement with SLSA's provenance predicate (slsa.dev,
 * v1). It has no times and no machine in it: the same inputs give the same statement. It is not
 * signed here; sign it where the image is published.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DOCKERFILE, EPOCH_S, sha256 } from './content.ts';
import { tryRun } from './run.ts';

export interface Built {
  /** The base's name with its digest. */
  readonly base: string;
  readonly tag: string;
  /** Digest by the image's name. */
  readonly digests: Readonly<Record<string, string>>;
}

export function provenance(root: string, { base, tag, digests }: Built): object {
  const [baseName, baseDigest = ''] = base.split('@');
  return {
    _type: 'https://in-toto.io/Statement/v1',
    subject: Object.entries(digests).map(([name, digest]) => {
      return { name, digest: { sha256: hexOf(digest) } };
    }),
    predicateType: 'https://slsa.dev/provenance/v1',
    predicate: {
      buildDefinition: {
        buildType: 'urn:x0tta6bl4:deploy/build:v1',
        externalParameters: { base },
        internalParameters: { sourceDateEpoch: EPOCH_S, tag },
        resolvedDependencies: [
          { name: baseName, digest: { sha256: hexOf(baseDigest) } },
          ...[DOCKERFILE, 'package-lock.json'].map((name) => fileOf(root, name)),
          ...commitOf(root),
        ],
      },
      runDetails: { builder: { id: 'urn:x0tta6bl4:deploy/build' } },
    },
  };
}

function fileOf(root: string, name: string): object {
  return { name, digest: { sha256: sha256(readFileSync(join(root, name))) } };
}

/** The commit, where the tree is that of a commit. */
function commitOf(root: string): object[] {
  const commit = tryRun('git', ['rev-parse', 'HEAD'], root);
  const changes = tryRun('git', ['status', '--porcelain'], root);
  if (commit.code !== 0 || changes.code !== 0 || changes.stdout !== '') return [];
  return [{ name: 'source', digest: { gitCommit: commit.stdout.trim() } }];
}

function hexOf(digest: string): string {
  return digest.replace(/^sha256:/, '');
}
