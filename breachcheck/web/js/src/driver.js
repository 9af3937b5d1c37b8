/**
 * One whole check: the steps of client.js over HTTP. PROTOCOL §9.2, §9.6.
 * @module
 */

import { hexToBytes } from '@noble/hashes/utils.js';
import { acceptManifest, conclude, locate, start } from './client.js';
import { ProtocolError, TransportError } from './errors.js';
import { canonical } from './identifier.js';
import { MAX_EVALUATION, MAX_MANIFEST } from './parameters.js';
import { ask } from './transport.js';
import { undetermined } from './verdict.js';

/** @typedef {import('./verdict.js').Answer} Answer */
/** @typedef {import('./verdict.js').Verdict} Verdict */
/** @typedef {import('./manifest.js').Manifest} Manifest */

/** @typedef {'manifest' | 'slow_hash' | 'evaluation' | 'bucket'} Stage */

/**
 * The highest release number accepted under the publisher's key. PROTOCOL §9.3.
 * @typedef {object} ReleaseMemory
 * @property {() => number} read returns 0 if none was ever stored; throws a ProtocolError if it cannot be read
 * @property {(release: number) => void} write throws a ProtocolError if it cannot be written
 */

/**
 * @typedef {object} Options
 * @property {string} base URL of the service, without a slash at its end; empty for the script's own origin
 * @property {string} publisherKey pinned: 64 hexadecimal digits
 * @property {ReleaseMemory} memory
 * @property {number} [timeLimit] for one answer, in milliseconds
 * @property {(stage: Stage, done: number) => void} [progress] gets the part of the stage that is done, 0 to 1
 * @property {() => number} [clock] milliseconds since 1970
 */

/**
 * Check one identifier. Whatever goes wrong on the way, the verdict is undetermined.
 * @param {string} kind
 * @param {string} text
 * @param {Options} options
 * @returns {Promise<Answer>}
 * @throws {import("./errors.js").InputError} before any request
 */
export async function check(kind, text, { base, publisherKey, memory, ...options }) {
  const { timeLimit = 30_000, progress = () => {}, clock = Date.now } = options;
  const form = canonical(kind, text); // 1

  /** @param {number} highest */
  const fetchManifest = async (highest) => {
    const question = { type: 'application/octet-stream', limit: MAX_MANIFEST };
    const signed = await ask(`${base}/v1/manifest`, question, timeLimit);
    const now = Math.floor(clock() / 1000);
    const manifest = acceptManifest(signed, hexToBytes(publisherKey), now, highest);
    memory.write(manifest.release);
    return manifest;
  };

  /** @param {Manifest} manifest */
  const attempt = async (manifest) => {
    progress('slow_hash', 0);
    const started = start(manifest, kind, form, { progress: (done) => progress('slow_hash', done) }); // 4 to 6
    progress('evaluation', 0);
    const question = { type: 'application/json', limit: MAX_EVALUATION, body: started.request };
    const located = locate(started.state, await ask(`${base}/v1/evaluate`, question, timeLimit)); // 7
    progress('bucket', 0);
    const wanted = /** @type {const} */ ({
      type: 'application/octet-stream',
      limit: located.length,
      tooLong: 'bucket_length',
    });
    return conclude(located.state, await ask(base + located.path, wanted, timeLimit)); // 8, 9
  };

  /** @type {Verdict} */
  let verdict = undetermined('not_checked');
  /** @type {Answer['datasets']} */
  let datasets = [];
  try {
    const highest = memory.read(); // 2
    progress('manifest', 0);
    const manifest = await fetchManifest(highest); // 3
    ({ datasets } = manifest);
    try {
      verdict = await attempt(manifest);
    } catch (error) {
      if (!isOutdated(error)) throw error;
      const renewed = await fetchManifest(Math.max(highest, manifest.release)); // §9.6
      if (renewed.release === manifest.release && renewed.public_key === manifest.public_key) throw error;
      ({ datasets } = renewed);
      verdict = await attempt(renewed).catch((again) => {
        throw isOutdated(again) ? new ProtocolError('release_changed') : again;
      });
    }
  } catch (error) {
    verdict = verdictOf(error);
  }
  return Object.freeze({ verdict, datasets });
}

/**
 * Return whether an error is what a check meets when the release changes under it. PROTOCOL §9.6.
 * @param {unknown} error
 */
function isOutdated(error) {
  if (error instanceof TransportError) return error.reason === 'missing';
  return error instanceof ProtocolError && error.reason === 'evaluation_proof';
}

/**
 * Return the verdict of a check that ended in an error: of a foreseen one its reason, of any other the client's fault.
 * @param {unknown} error
 * @returns {Verdict}
 */
function verdictOf(error) {
  if (error instanceof TransportError) return undetermined(error.reason, error.retry_after, error.until);
  if (error instanceof ProtocolError) return undetermined(error.reason);
  return undetermined('client_fault');
}
