/**
 * The one encoding of everything that is hashed, derived from or signed. PROTOCOL §2.4, §2.5.
 * @module
 */

import { sha512 } from '@noble/hashes/sha2.js';
import { concatBytes } from '@noble/hashes/utils.js';
import { PROTOCOL } from './parameters.js';

/** @typedef {Uint8Array<ArrayBuffer>} Bytes */

/**
 * Return a text as UTF-8.
 * @param {string} text
 * @returns {Bytes}
 */
export function utf8(text) {
  return new Uint8Array(new TextEncoder().encode(text));
}

/**
 * Return an integer as 8 octets, big-endian.
 * @param {number} value 0 to 2^53 - 1
 * @returns {Bytes}
 */
export function u64(value) {
  const octets = new Uint8Array(8);
  const view = new DataView(octets.buffer);
  view.setUint32(0, Math.floor(value / 2 ** 32));
  view.setUint32(4, value % 2 ** 32);
  return octets;
}

/**
 * Return `encode(purpose, part_1, ..., part_n)`. PROTOCOL §2.4.
 * @param {string} purpose
 * @param {...Uint8Array} parts
 * @returns {Bytes}
 */
export function encode(purpose, ...parts) {
  return concatBytes(
    ...[utf8(PROTOCOL), utf8(purpose), ...parts].flatMap((part) => [u64(part.length).subarray(4), part]),
  );
}

/**
 * Return HMAC with SHA-512. RFC 2104 §2; the library's can be fed piece by piece, for a third of a kilobyte.
 * @param {Uint8Array} key at most 128 octets
 * @param {Uint8Array} message
 */
function hmac(key, message) {
  /** @param {number} octet */
  const padded = (octet) => new Uint8Array(128).fill(octet).map((pad, i) => pad ^ (key[i] ?? 0));
  return sha512(concatBytes(padded(0x5c), sha512(concatBytes(padded(0x36), message))));
}

/**
 * Return the first `length` octets of HKDF-Expand with SHA-512. RFC 5869 §2.3; one block is enough.
 * @param {Uint8Array} key 64 octets
 * @param {Uint8Array} info
 * @param {number} length 1 to 64
 * @returns {Bytes}
 */
export function expand(key, info, length) {
  return hmac(key, concatBytes(info, Uint8Array.of(1))).slice(0, length);
}
