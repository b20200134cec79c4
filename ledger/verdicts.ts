/**
 * What becomes of an ordered event: a number in the leaf of the final log, and the reason for
 * people (wire.md, "Verdicts"). Numbers never change their meaning. Those from 256 on belong to
 * projections, 256 to each.
 */
export const VERDICTS = {
  applied: 0,
  /** `notAfter_ms` lies before the commit's time. */
  expired: 1,
  /** (actor, lane, seq) was used, or lies below the lane's window. */
  replayed: 2,
  /** An event in `deps` was not applied earlier. */
  dep_missing: 3,
  /** No active projection knows the kind. */
  unknown_kind: 4,
  /** The body does not fit the schema of its kind. */
  bad_body: 5,
  /** The actor has all the lanes that it may have. */
  too_many_lanes: 6,
  /** The policies on the ledger do not permit it. */
  denied: 7,
  /** `ifSeq` of a kv event does not match the key's last change. */
  kv_precondition: 256,
  /** Only an operator changes the committee, or binds a key to another. */
  not_operator: 512,
  /** Who is to be added sits in the committee. */
  already_validator: 513,
  /** Who is to be removed, or leaves, does not sit in the committee. */
  not_validator: 514,
  /** The committee would be empty or larger than `COMMITTEE_MAX`. */
  committee_bounds: 515,
  /** Two validators would have one libp2p peer id. */
  peer_taken: 516,
  /** A key that signed two blocks for one slot gets no seat again: make a new one. */
  member_barred: 517,
  /** Evidence for this epoch and author is recorded. */
  evidence_known: 518,
  /** The headers are of another network or committee, or the key is not the author's. */
  evidence_unfounded: 519,
  /** The actor has another key by now: the event changes nothing and uses up no number. */
  key_retired: 520,
  /** The new key is or was somebody's. */
  key_taken: 521,
  /** It is not, and never was, a key of this actor. */
  key_unknown: 522,
  /** The key is revoked. */
  key_revoked: 523,
  /** The actor has a key: it rotates itself, or the key is revoked first. */
  key_present: 524,
  /** Only the actor with its present key, or an operator; nobody revokes the key it signs with. */
  key_not_permitted: 525,
  /** The actor has had as many keys as it may. */
  key_bounds: 526,
  /** Too few of the next committee would be known to run for a quorum. */
  committee_quorum: 527,
  /** The ledger holds no such member. */
  member_unknown: 561,
  /** The member's state does not permit it. */
  member_transition: 562,
  /** Only an operator may, or the member itself where its own affairs are concerned. */
  member_not_permitted: 563,
  /** The last validator keeps its seat. */
  member_last_validator: 564,
  /** Nobody could change the members any more. */
  member_last_operator: 565,
  /** There would be more members than may be. */
  member_bounds: 566,
  /** The actor is on the ledger, or its peer id with another actor. */
  member_known: 567,
  /** The libp2p key does not vouch for the actor. */
  member_proof_invalid: 568,
  /** The roles want a node, or one that has an address to be found at. */
  member_roles: 569,
  /** There is no such invite. */
  invite_unknown: 580,
  /** The invite's time lies before the commit's. */
  invite_expired: 581,
  /** The invite was used. */
  invite_used: 582,
  /** The invite was withdrawn. */
  invite_withdrawn: 583,
  /** There would be more open invites than may be, or this one would be open too long. */
  invite_bounds: 584,
  /** The same invite was made before. */
  invite_known: 585,
  /** The policies were changed since the version that the event names. */
  policy_conflict: 768,
  /** There is no such policy, or that version is not kept any more. */
  policy_unknown: 769,
  /** A policy's text does not parse, or is nested too deep. */
  policy_invalid: 770,
  /** The schema does not parse, or lacks what nodes say. */
  policy_schema_invalid: 771,
  /** A policy contradicts the schema. */
  policy_contradicts_schema: 772,
  /** There would be more policies, roles or bytes than may be. */
  policy_bounds: 773,
  /** Nobody could change policies any more. */
  policy_lockout: 774,
  /** Nobody could author any event besides changes of policies. */
  policy_denies_everyone: 775,
  /**
   * Only an operator changes entries, issuers and federation, or revokes what is another's; only a
   * sitting validator refreshes foreign bundles.
   */
  identity_not_permitted: 1024,
  /** Only issuers publish authorities of the trust domain. */
  identity_not_issuer: 1025,
  /** A registration entry, trust domain, authority, bundle or endpoint does not hold. */
  identity_invalid: 1026,
  /** An entry lies outside the trust domain, or the own one was to be federated with. */
  identity_other_domain: 1027,
  /** What is to be removed or refreshed is not there. */
  identity_unknown: 1028,
  /** What is to be added is there. */
  identity_known: 1029,
  /** There would be too many entries, issuers, authorities or foreign trust domains. */
  identity_bounds: 1030,
  /** The bundle is not newer than the held one, or the relationship was set anew since. */
  identity_stale: 1031,
  /** A bundle before enough validators vouch for it, or too soon after the one before. */
  identity_early: 1032,
  /** Validators report and isolate by rule; operators by their own right. */
  posture_not_permitted: 1280,
  /** Of whom is spoken is no member, or is not isolated. */
  posture_unknown: 1281,
  /** Nobody speaks of itself. */
  posture_own: 1282,
  /** The reporter spoke of this member a moment ago, or the grade has not stayed long enough. */
  posture_too_soon: 1283,
  /** The score does not say so, or the grade is no graver than the present one. */
  posture_not_due: 1284,
  /** The basis names no reports or evidence against this member. */
  posture_unfounded: 1285,
  /** The committee would be left with fewer validators than a quorum takes. */
  posture_quorum: 1286,
  /** Times do not fit, or too many members are spoken of. */
  posture_bounds: 1287,
} as const;

export type VerdictName = keyof typeof VERDICTS;

const NAMES = new Map<number, VerdictName>(
  Object.entries(VERDICTS).map(([name, code]) => [code, name as VerdictName]),
);

/** The name of a verdict's number; `verdict_N` for one that this software does not know. */
export function verdictName(code: number): string {
  return NAMES.get(code) ?? `verdict_${code}`;
}
