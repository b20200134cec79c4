import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger';
import type { FastifySchema } from 'fastify';
import { Binary } from './schemas.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Media types of a body that is taken as raw bytes. */
    consumes?: readonly string[];
  }
}

/** The ways to prove who calls: any one of them, and one only (docs/api.md, "Who calls"). */
const PROOFS = {
  operatorToken: {
    type: 'http',
    scheme: 'bearer',
    description: 'api.token of the data directory, on the machine of the node',
  },
  monitoringToken: {
    type: 'http',
    scheme: 'bearer',
    description: 'monitor.token of the data directory: metrics and nothing else',
  },
  jwtSvid: {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
    description: 'a JWT-SVID whose audience is the SPIFFE ID of the node, over TLS or on loopback',
  },
  x509Svid: { type: 'mutualTLS', description: 'an X.509-SVID, at the HTTPS listener' },
  signature: {
    type: 'apiKey',
    in: 'header',
    name: 'signature',
    description: 'HTTP Message Signatures (RFC 9421) with ML-DSA-65 by a member',
  },
} as const;
type Components = NonNullable<NonNullable<FastifyDynamicSwaggerOptions['openapi']>['components']>;
type Schemes = NonNullable<Components['securitySchemes']>;
/** Operations that everybody may call. */
const OPEN = new Set(['livez', 'readyz']);

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
      // the types do not know `mutualTLS` of OpenAPI 3.1
      components: { securitySchemes: PROOFS as unknown as Schemes },
      security: Object.keys(PROOFS).map((name) => ({ [name]: [] })),
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
    ...(OPEN.has(operationIdOf(schema)) && { security: [] }),
    ...(key !== undefined && {
      params: { type: 'object', properties: { key }, required: ['key'] },
    }),
    ...(consumes && { body: Binary, consumes: [...consumes] }),
  };
}

function operationIdOf(schema: FastifySchema | undefined): string {
  return schema?.operationId ?? '';
}
