import { Type } from 'typebox';
import { fail } from '#ledger/errors.ts';
import type { Api } from './parts.ts';
import * as schemas from './schemas.ts';

export interface IdentityApi {
  /** The own trust domain's bundle (JSON); `undefined` in a network without identities. */
  bundle(): Promise<string | undefined>;
}

/**
 * The SPIFFE bundle of this network's trust domain, for those who federate with it. It is public,
 * and no caller is asked who it is (Federation, 5.2.1.3).
 */
export async function identityRoutes(app: Api, identity: IdentityApi): Promise<void> {
  app.get(
    '/v1/identity/bundle',
    {
      schema: {
        operationId: 'getIdentityBundle',
        summary: "The SPIFFE bundle of the network's trust domain",
        tags: ['network'],
        response: {
          200: schemas.contentReply('JWK set with spiffe_sequence and spiffe_refresh_hint', {
            'application/json': Type.String(),
          }),
          default: schemas.ErrorReply,
        },
      },
    },
    async (_request, reply) => {
      const document = await identity.bundle();
      if (document === undefined) {
        fail('identity_inactive', 'this network has no identities on its ledger');
      }
      return reply.type('application/json').send(document);
    },
  );
}
