/**
 * A known answer test of the whole chain, run before a check: a device that computes wrongly must not say anything.
 * @module
 */

import { bytesToHex, concatBytes, hexToBytes } from '@noble/hashes/utils.js';
import { acceptManifest, conclude, locate, start } from './client.js';
import { utf8 } from './encoding.js';
import { ProtocolError } from './errors.js';
import { canonical } from './identifier.js';
import known from './selftest.json' with { type: 'json' };
import { slowHash } from './slow_hash.js';

/**
 * Two passes, as checks have, and blocks enough for every step of the algorithm: a segment of them is longer than the
 * 128 addresses of one address block. RFC 9106 §3.4.1.2.
 */
export const SLOW_HASH = Object.freeze({ memory_kib: 1024, passes: 2 });
export const SALT = '000102030405060708090a0b0c0d0e0f';

/**
 * Return whether one whole check gives what it must: message by message, verdict included, and each forgery refused.
 * @returns {boolean}
 */
export function selftest() {
  const signed = concatBytes(hexToBytes(known.signature), utf8(known.manifest));
  const page = hexToBytes(known.page);
  const key = hexToBytes(known.publisher_key);
  const random = () => concatBytes(hexToBytes(known.blind), new Uint8Array(32));

  const manifest = acceptManifest(signed, key, known.now, 0);
  const started = start(manifest, known.kind, canonical(known.kind, known.text), { random });
  const located = locate(started.state, utf8(known.response));
  const verdict = conclude(located.state, page);
  // Another key evaluated it: the element comes back as it was sent.
  const forged = utf8(JSON.stringify({ ...JSON.parse(known.response), ...JSON.parse(started.request) }));
  return (
    bytesToHex(slowHash(known.kind, '', SALT, SLOW_HASH)) === known.slow_hash &&
    located.path === known.path &&
    JSON.stringify(verdict) === JSON.stringify(known.verdict) &&
    refuses('manifest_signature', () => acceptManifest(flipped(signed), key, known.now, 0)) &&
    refuses('evaluation_proof', () => locate(started.state, forged)) &&
    refuses('bucket_proof', () => conclude(located.state, flipped(page)))
  );
}

/**
 * Return octets with the lowest bit of the last changed.
 * @param {Uint8Array} octets
 */
const flipped = (octets) => octets.map((octet, i) => (i === octets.length - 1 ? octet ^ 1 : octet));

/**
 * Return whether a step fails for this reason.
 * @param {string} reason
 * @param {() => unknown} step
 */
function refuses(reason, step) {
  try {
    step();
  } catch (error) {
    return error instanceof ProtocolError && error.reason === reason;
  }
  return false;
}
