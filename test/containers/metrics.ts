/**
 * Prometheus for the profile `metrics`, from Debian's package: where the tests run no registry of
 * images can be reached. Only the program differs; configuration, alerts and service are the ones
 * that operators get.
 */
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ROOT, shell } from './support.ts';

export const PROMETHEUS_IMAGE = 'x0t-test-prometheus:local';

/** As the official image: the same paths, and its user. */
const DOCKERFILE = `ARG BASE
FROM \${BASE}
COPY prometheus /bin/prometheus
RUN mkdir /prometheus && chown 65534:65534 /prometheus
USER 65534:65534
ENTRYPOINT ["/bin/prometheus"]
CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]
`;

/** Takes the package with lists of its own; `folder` is empty and is removed by the caller. */
export async function buildPrometheus(folder: string): Promise<void> {
  await writeFile(join(folder, 'Dockerfile'), DOCKERFILE);
  const places = '-o Dir::State::lists=$PWD/lists -o Dir::Cache=$PWD';
  const options = `-qq ${places} -o APT::Sandbox::User=root`;
  const taken = await shell(
    `mkdir -p lists/partial archives/partial && apt-get ${options} update; ` +
      `apt-get ${options} download prometheus && dpkg -x prometheus_*.deb unpacked && ` +
      'mkdir context && cp unpacked/usr/bin/prometheus Dockerfile context',
    folder,
  );
  if (taken.code !== 0) throw new Error(taken.all);
  const base = (await readFile(join(ROOT, 'dist/base/name.txt'), 'utf8')).trim();
  const args = `--quiet --provenance=false --build-arg BASE=${base} --tag ${PROMETHEUS_IMAGE}`;
  const built = await shell(`docker build ${args} context`, folder);
  if (built.code !== 0) throw new Error(built.all);
}

/** What the dashboards ask Prometheus for. */
export async function dashboardQueries(): Promise<string[]> {
  const folder = join(ROOT, 'deploy/grafana/dashboards');
  const all: string[] = [];
  for (const file of await readdir(folder)) {
    const { panels } = JSON.parse(await readFile(join(folder, file), 'utf8')) as {
      readonly panels: readonly { readonly targets: readonly { readonly expr: string }[] }[];
    };
    all.push(...panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)));
  }
  return all;
}

/** Prometheus' HTTP API: the `data` of an answer; throws what it says of a wrong question. */
export async function ask<T>(url: string, path: string, query = ''): Promise<T> {
  const suffix = query === '' ? '' : `?${new URLSearchParams({ query }).toString()}`;
  const answer = await fetch(`${url}/api/v1/${path}${suffix}`);
  const { status, data, error } = (await answer.json()) as {
    readonly status: string;
    readonly data: T;
    readonly error?: string;
  };
  if (status !== 'success') throw new Error(`${query}: ${error}`);
  return data;
}
