import type { FastifyError } from 'fastify';
import { X0tError } from '#ledger/errors.ts';
import type { ErrorData } from '#ledger/errors.ts';

/** The one form of every error that the API answers with. */
export interface ErrorEnvelope {
  readonly code: string;
  readonly message: string;
  readonly detail: ErrorData;
  readonly requestId: string;
}

/**
 * The HTTP status of each code. 400: the bytes cannot be read; 422: they can, but the ledger would
 * never take them; 409: another event stands in the way; 429 and 503: the same request may succeed
 * later. A code that is not here is a fault of this node: 500.
 */
const STATUS: Readonly<Record<string, number>> = {
  bad_id: 400,
  bad_key: 400,
  bad_request: 400,
  body_unexpected: 400,
  cursor_unknown: 400,
  entity_malformed: 400,
  bad_signature_form: 400,
  not_canonical: 400,
  out_of_range: 400,
  too_deep: 400,
  unknown_field: 400,
  unknown_version: 400,
  wrong_object: 400,
  wrong_type: 400,
  key_retired: 403,
  key_revoked: 403,
  actor_unknown: 401,
  certificate_invalid: 401,
  credential_insecure: 401,
  credentials_ambiguous: 401,
  credentials_unknown: 401,
  jwt_svid_audience: 401,
  jwt_svid_invalid: 401,
  jwt_svid_key_unknown: 401,
  jwt_svid_signature: 401,
  signature_malformed: 401,
  signature_other_node: 401,
  signature_replayed: 401,
  signature_stale: 401,
  signature_wrong: 401,
  spiffe_id_invalid: 401,
  svid_expired: 401,
  svid_not_registered: 401,
  svid_not_yet_valid: 401,
  svid_untrusted: 401,
  target_not_canonical: 401,
  token_not_local: 401,
  token_wrong: 401,
  trust_domain_unknown: 401,
  unauthenticated: 401,
  x509_svid_invalid: 401,
  not_member: 403,
  member_not_permitted: 403,
  policy_denied: 403,
  identity_inactive: 404,
  not_certified: 404,
  not_final: 404,
  no_such_event: 404,
  no_such_key: 404,
  no_such_member: 404,
  no_such_route: 404,
  invite_known: 409,
  invite_used: 409,
  invite_withdrawn: 409,
  member_known: 409,
  member_last_operator: 409,
  member_last_validator: 409,
  member_transition: 409,
  not_applied: 409,
  policy_conflict: 409,
  replayed: 409,
  slot_pending: 409,
  too_many_lanes: 409,
  pruned: 410,
  precondition_failed: 412,
  body_too_large: 413,
  event_too_large: 413,
  unsupported_media_type: 415,
  bad_body: 422,
  bad_event_signature: 422,
  expired: 422,
  foreign_chain: 422,
  invite_bounds: 422,
  invite_expired: 422,
  invite_unknown: 422,
  member_bounds: 422,
  member_proof_invalid: 422,
  member_roles: 422,
  member_unknown: 422,
  policy_bounds: 422,
  policy_contradicts_schema: 422,
  policy_denies_everyone: 422,
  policy_invalid: 422,
  policy_lockout: 422,
  policy_schema_invalid: 422,
  policy_unknown: 422,
  unknown_kind: 422,
  unsigned: 422,
  actor_quota: 429,
  rate_limited: 429,
  engine_closed: 503,
  engine_failed: 503,
  installing: 503,
  key_not_held: 503,
  key_rotating: 503,
  overloaded: 503,
  pool_full: 503,
  stopping: 503,
  store_failed: 503,
  too_many_streams: 503,
  final_timeout: 504,
};

/** Seconds after which a refused client may try again. */
export const RETRY_AFTER_S = 1;

/** Headers that an error's answer has besides its envelope (RFC 9110, 10.2.3 and 11.6.1). */
export function headersOf({ code, data }: X0tError): Readonly<Record<string, string | number>> {
  const status = httpStatusOf(code);
  if (status === 401) {
    const isWrong = code !== 'unauthenticated';
    return { 'www-authenticate': `Bearer realm="x0t"${isWrong ? ', error="invalid_token"' : ''}` };
  }
  if (status !== 429 && status !== 503) return {};
  const { retryAfter_s } = data;
  return { 'retry-after': typeof retryAfter_s === 'number' ? retryAfter_s : RETRY_AFTER_S };
}

export function httpStatusOf(code: string): number {
  return STATUS[code] ?? 500;
}

export function envelopeOf({ code, message, data }: X0tError, requestId: string): ErrorEnvelope {
  return { code, message, detail: data, requestId };
}

/**
 * Anything thrown as a coded error. What is not meant for callers becomes `internal`, without its
 * text.
 */
export function coded(error: unknown): X0tError {
  if (error instanceof X0tError) return withField(error);
  const { code, statusCode, message, ...more } = error as Partial<FastifyError>;
  const { validation, validationContext } = more;
  if (validation) {
    return new X0tError('bad_request', `Correct the request: ${message}.`, {
      in: validationContext ?? 'request',
      at: validation[0]?.instancePath || '/',
    });
  }
  if (statusCode === 413) {
    return new X0tError('body_too_large', 'The body is larger than this route takes.');
  }
  if (statusCode === 415) {
    return new X0tError(
      'unsupported_media_type',
      'This route does not take this content-type: see /openapi.json.',
    );
  }
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return new X0tError('bad_request', `Correct the request: ${message}.`, { reason: code ?? '' });
  }
  const message500 = 'The node failed over this request: its log has the requestId.';
  return new X0tError('internal', message500, {}, { cause: error });
}

/** The sentence about a body says which field is wrong: a batch's results have nothing else. */
function withField(error: X0tError): X0tError {
  const { code, data, cause } = error;
  const wrong = data['detail'];
  if (code !== 'bad_body' || typeof wrong !== 'string') return error;
  const message = `The body does not fit the schema of its kind: ${wrong}.`;
  return new X0tError(code, message, data, { cause });
}
