/**
 * What a check may conclude: a closed type. PROTOCOL §9.1. `not_found` is built in client.js, and nowhere else.
 * @module
 */

/**
 * @typedef {'not_checked' | 'unreachable' | 'timeout' | 'connection_closed' | 'rate_limited' | 'unavailable' | 'maintenance'
 *   | 'missing' | 'refused' | 'server_error' | 'not_the_service' | 'answer_too_long' | 'answer_too_short' | 'manifest_malformed'
 *   | 'manifest_signature' | 'manifest_version' | 'manifest_parameters' | 'manifest_expired' | 'manifest_not_yet_valid'
 *   | 'release_rolled_back' | 'release_changed' | 'release_memory' | 'kind_not_indexed' | 'identifier_rules'
 *   | 'evaluation_malformed' | 'evaluation_proof' | 'bucket_length' | 'bucket_proof' | 'entry_malformed'
 *   | 'client_fault' | 'client_altered'} Reason
 */

/**
 * One dataset in which the identifier appears, and the names of the fields that stand there with it.
 * @typedef {{readonly dataset: string, readonly fields: readonly string[], readonly employer: boolean,
 *   readonly shared: boolean}} Exposure
 */

/**
 * A dataset that cannot be asked by this kind of identifier, and the kinds by which it can.
 * @typedef {{readonly dataset: string, readonly kinds: readonly string[]}} Unchecked
 */

/**
 * How much of a checked dataset could be read: its rows, and cells of the asked kind that were no identifier.
 * @typedef {{readonly dataset: string, readonly rows_read: number, readonly rows_accepted: number,
 *   readonly identifiers_rejected: number}} Coverage
 */

/**
 * @typedef {{readonly type: 'exposed', readonly release: number, readonly exposures: readonly Exposure[],
 *   readonly checked: readonly string[], readonly unchecked: readonly Unchecked[],
 *   readonly coverage: readonly Coverage[]}} Exposed
 */

/**
 * @typedef {{readonly type: 'not_found', readonly release: number, readonly checked: readonly string[],
 *   readonly unchecked: readonly Unchecked[], readonly coverage: readonly Coverage[]}} NotFound
 */

/**
 * `until` is when the service's maintenance ends, as the protocol writes times: `2026-12-01T04:00:00Z`.
 * @typedef {{readonly type: 'undetermined', readonly reason: Reason, readonly retry_after: number | null,
 *   readonly until: string | null}} Undetermined
 */

/** @typedef {Exposed | NotFound | Undetermined} Verdict */

/**
 * A verdict and the datasets of the signed manifest it came from: none if no manifest was accepted.
 * @typedef {{readonly verdict: Verdict, readonly datasets: readonly import('./manifest.js').Dataset[]}} Answer
 */

/**
 * Return the verdict that is no result.
 * @param {Reason} reason
 * @param {number | null} [retry_after] seconds the service asked to wait
 * @param {string | null} [until] when its maintenance ends
 * @returns {Undetermined}
 */
export function undetermined(reason, retry_after = null, until = null) {
  return Object.freeze({ type: 'undetermined', reason, retry_after, until });
}

/**
 * Return the answer of a check that never came to a manifest.
 * @param {Reason} reason
 * @returns {Answer}
 */
export function unanswered(reason) {
  return { verdict: undetermined(reason), datasets: [] };
}

/**
 * Freeze a plain value with all that it holds, and return it.
 * @template T
 * @param {T} value
 * @returns {T}
 */
export function deepFreeze(value) {
  if (typeof value === 'object' && value !== null) {
    Object.values(value).forEach(deepFreeze);
    Object.freeze(value);
  }
  return value;
}
