import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger';
import type { FastifySchema } from 'fastify';
import { Binary } from './schemas.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Media types of a body that is taken as raw bytes. */
    consumes?: readonly string[];
  }
}

/** What `/openapi.json` is made from: the schemas of the routes. */
export function openApiOptions(version: string): FastifyDynamicSwaggerOptions {
  return {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'x0tta6bl4 node',
        description: 'Submit signed events, read the final log and what follows from it.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
        version,
      },
      tags: [
        { name: 'health', description: 'Probes, metrics and status' },
        { name: 'kv', description: 'Key-value pairs' },
        { name: 'events', description: 'Signed events' },
        { name: 'log', description: 'The final log' },
        { name: 'policy', description: 'Who may do what' },
        { name: 'network', description: 'Members, genesis and event kinds' },
      ],
    },
    transform: ({ schema, url, route }) => ({
      schema: documented(schema, url, route.config?.consumes),
      // a path parameter of OpenAPI has a name; that it may hold slashes is in its description
      url: url.replace('*', ':key'),
    }),
  };
}

function documented(
  schema: FastifySchema | undefined,
  url: string,
  consumes: readonly string[] | undefined,
): FastifySchema {
  const params = schema?.params as { properties: Record<string, unknown> } | undefined;
  const key = url.endsWith('*') ? params?.properties['*'] : undefined;
  return {
    ...schema,
    ...(key !== undefined && {
      params: { type: 'object', properties: { key }, required: ['key'] },
    }),
    ...(consumes && { body: Binary, consumes: [...consumes] }),
  };
}
