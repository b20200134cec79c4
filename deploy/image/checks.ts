/**
 * What is checked of an image once it is built. Each check prints one line: what it found, or that
 * it was not run and why. Not run is never "ok".
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stage } from './content.ts';
import type { ContentFile } from './content.ts';
import { isAllowed } from './licences.ts';
import { tryRun } from './run.ts';
import { licenceOf } from './sbom.ts';
import type { Sbom } from './sbom.ts';
import { findSecrets } from './secrets.ts';

const TRIVY_CONFIG = join(import.meta.dirname, 'trivy.yaml');
const GITLEAKS_CONFIG = join(import.meta.dirname, 'gitleaks.toml');

/** False when a check that ran found something. */
export function checkImage(sbom: Sbom, files: readonly ContentFile[], archive: string): boolean {
  const checks = [licences(sbom), secrets(files), gitleaks(files), vulnerabilities(archive)];
  return checks.every((passed) => passed);
}

function licences({ components }: Sbom): boolean {
  const fromNpm = components.filter(({ purl }) => purl.startsWith('pkg:npm/'));
  const bad = fromNpm.filter((one) => !isAllowed(licenceOf(one)));
  for (const one of bad) {
    const licence = licenceOf(one) || 'none stated';
    console.error(`licences: ${one.name} ${one.version} has ${licence}, which is not allowed`);
  }
  const others = components.length - fromNpm.length;
  const beside = others === 0 ? '' : `; ${others} of Debian keep theirs in the image, not judged`;
  if (bad.length === 0) console.error(`licences: ok, ${fromNpm.length} packages${beside}`);
  return bad.length === 0;
}

function secrets(files: readonly ContentFile[]): boolean {
  const found = findSecrets(files);
  for (const { path, line, what } of found) console.error(`secrets: ${path}:${line}: ${what}`);
  if (found.length === 0) console.error(`secrets: ok, ${files.length} files`);
  return found.length === 0;
}

function gitleaks(files: readonly ContentFile[]): boolean {
  const folder = mkdtempSync(join(tmpdir(), 'x0t-secrets-'));
  try {
    stage(files, folder);
    const options = ['--no-banner', '--no-color', '--redact', '--verbose'];
    const args = ['dir', ...options, `--config=${GITLEAKS_CONFIG}`, folder];
    const { code, stdout, stderr } = tryRun('gitleaks', args);
    if (code === 127) return notRun('gitleaks', 'it is not installed');
    if (code !== 0) console.error(`gitleaks: found something:\n${stdout}${stderr}`);
    else console.error('gitleaks: ok');
    return code === 0;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Trivy fetches its database by itself, where it may. */
function vulnerabilities(archive: string): boolean {
  if (tryRun('trivy', ['--version']).code === 127) {
    return notRun('vulnerabilities', 'trivy is not installed, so there is no database');
  }
  if (!existsSync(archive)) return notRun('vulnerabilities', `there is no ${archive}`);
  const update = ['image', '--config', TRIVY_CONFIG, '--download-db-only'];
  if (tryRun('trivy', update).code !== 0) return notRun('vulnerabilities', 'no database');
  const ran = tryRun('trivy', ['image', '--config', TRIVY_CONFIG, '--input', archive]);
  console.error(ran.code === 0 ? 'vulnerabilities: ok' : `${ran.stdout}${ran.stderr}`);
  return ran.code === 0;
}

/** Not a failure, and not a success either: the line says so. */
function notRun(check: string, reason: string): true {
  console.error(`${check}: not run: ${reason}`);
  return true;
}
