/**
 * Requests over fetch, and the reasons why one failed. PROTOCOL §9.5.
 * @module
 */

import { concatBytes } from '@noble/hashes/utils.js';
import { ProtocolError, TransportError } from './errors.js';
import { readMaintenance } from './messages.js';
import { MAX_PROBLEM } from './parameters.js';

/** @typedef {import('./verdict.js').Reason} Reason */

/**
 * What is asked, and what the answer may be.
 * @typedef {{readonly type: string, readonly limit: number, readonly tooLong?: Reason,
 *   readonly body?: string}} Question
 */

/**
 * Ask once and return the body of the answer: complete, of this media type and of at most `limit` octets.
 * @param {string} url
 * @param {Question} question
 * @param {number} timeLimit milliseconds, for the whole answer
 * @returns {Promise<Uint8Array>}
 * @throws {TransportError | ProtocolError}
 */
export async function ask(url, { type, limit, tooLong = 'answer_too_long', body }, timeLimit) {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), timeLimit);
  /**
   * @template T
   * @param {Promise<T>} waiting
   * @param {Reason} reason of a failure before the time limit
   */
  const outcome = (waiting, reason) =>
    waiting.catch(() => {
      throw new TransportError(controller.signal.aborted ? 'timeout' : reason);
    });
  try {
    const response = await outcome(
      fetch(url, {
        method: body === undefined ? 'GET' : 'POST',
        ...(body === undefined ? {} : { body, headers: { 'Content-Type': 'application/json' } }),
        cache: 'no-store',
        credentials: 'omit',
        redirect: 'manual', // an answer that redirects is seen, not followed
        referrerPolicy: 'no-referrer',
        signal: controller.signal,
      }),
      'unreachable',
    );
    const reason = reasonOf(response.status);
    if (reason !== null) {
      const until = response.status === 503 ? await maintenanceEnd(response) : null;
      throw new TransportError(until === null ? reason : 'maintenance', retryAfter(response), until);
    }
    if (mediaType(response) !== type) throw new TransportError('not_the_service');
    if (Number(response.headers.get('Content-Length')) > limit) throw new ProtocolError(tooLong);
    const octets = await outcome(read(response, limit), 'connection_closed');
    if (octets.length > limit) throw new ProtocolError(tooLong);
    return octets;
  } finally {
    clearTimeout(timer);
    controller.abort(); // what has not been read is not wanted
  }
}

/**
 * Return the body of an answer, or its beginning if that is longer than `limit` octets.
 * @param {Response} response
 * @param {number} limit
 */
async function read(response, limit) {
  const reader = response.body?.getReader();
  const pieces = [];
  let length = 0;
  while (reader !== undefined && length <= limit) {
    const { done, value } = await reader.read();
    if (done) break;
    pieces.push(value);
    length += value.length;
  }
  return concatBytes(...pieces);
}

/** @param {Response} response */
function mediaType({ headers }) {
  return (headers.get('Content-Type') ?? '').split(';', 1)[0]?.trim().toLowerCase();
}

/**
 * Return when maintenance ends, if that is why the service is not available. The one answer beside a 200 that is read:
 * it makes no verdict, and only tells until when there is none.
 * @param {Response} response
 * @returns {Promise<string | null>}
 */
async function maintenanceEnd(response) {
  if (mediaType(response) !== 'application/problem+json') return null;
  return read(response, MAX_PROBLEM).then(readMaintenance, () => null);
}

/**
 * Return why an answer of this status is none; null for 200. The first row that applies counts.
 * @param {number} status
 * @returns {Reason | null}
 */
function reasonOf(status) {
  if (status === 200) return null;
  if (status === 429) return 'rate_limited';
  if (status === 404) return 'missing';
  if (status === 503) return 'unavailable';
  if (status === 511) return 'not_the_service';
  if (status >= 500 && status <= 599) return 'server_error';
  if (status >= 400 && status <= 499) return 'refused';
  return 'not_the_service';
}

/**
 * Return the seconds that a 429 or 503 asks to wait, if it names them, as a number or a date.
 * @param {Response} response
 * @returns {number | null} 0 to 86,400
 */
function retryAfter({ status, headers }) {
  const value = headers.get('Retry-After') ?? '';
  const seconds = /^[0-9]+$/.test(value) ? Number(value) : Math.ceil((Date.parse(value) - Date.now()) / 1000);
  return (status === 429 || status === 503) && 0 <= seconds && seconds <= 24 * 60 * 60 ? seconds : null;
}
