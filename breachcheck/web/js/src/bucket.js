/**
 * Buckets: in which one an identifier stands, and what a page of it holds. PROTOCOL §7.
 * @module
 */

import { encode, expand, utf8 } from './encoding.js';
import { ENTRY_LENGTH, HASH_LENGTH } from './parameters.js';

/**
 * Return the number of an identifier's bucket. PROTOCOL §7.1.
 * @param {Uint8Array} y 64 octets
 * @param {string} kind
 * @param {number} prefixBits 0 to 24
 * @returns {number}
 */
export function bucketNumber(y, kind, prefixBits) {
  const locator = expand(y, encode('bucket', utf8(kind)), 8);
  // 24 bits at most, so the first half suffices. Shift counts are taken modulo 32: zero bits are a case of their own.
  return prefixBits === 0 ? 0 : new DataView(locator.buffer).getUint32(0) >>> (32 - prefixBits);
}

/**
 * Return a bucket's name in URLs: of one length, so that the length of a request tells nothing. PROTOCOL §7.4.
 * @param {number} bucket
 */
export function bucketName(bucket) {
  return bucket.toString(16).padStart(6, '0');
}

/**
 * Return the length of every page of a kind, in octets. PROTOCOL §7.3.
 * @param {number} entriesPerBucket
 * @param {number} prefixBits
 * @returns {number}
 */
export function pageLength(entriesPerBucket, prefixBits) {
  return entriesPerBucket * ENTRY_LENGTH + prefixBits * HASH_LENGTH;
}

/**
 * Cut a page into its entries and its path.
 * @param {Uint8Array} page
 * @param {number} entriesPerBucket
 * @returns {{entries: Uint8Array, path: Uint8Array}}
 */
export function splitPage(page, entriesPerBucket) {
  const end = entriesPerBucket * ENTRY_LENGTH;
  return { entries: page.subarray(0, end), path: page.subarray(end) };
}
