/**
 * Entries: what a dataset holds of one identifier, which only the holder of y can find or read. PROTOCOL §6.
 * @module
 */

import { encode, expand, u64, utf8 } from './encoding.js';
import { ProtocolError } from './errors.js';
import { ENTRY_LENGTH, PAYLOAD_VERSION, TAG_LENGTH } from './parameters.js';

/**
 * The payload of an entry: a mask of data classes; whether the identifier is the employer's contact; and whether it stands
 * in rows about several people.
 * @typedef {{readonly fields: number, readonly employer: boolean, readonly shared: boolean}} Payload
 */

/**
 * Return tag and pad of an identifier in a dataset, 24 octets.
 * @param {Uint8Array} y 64 octets
 * @param {string} dataset
 * @param {number} release
 * @returns {Uint8Array}
 */
export function stream(y, dataset, release) {
  return expand(y, encode('entry', utf8(dataset), u64(release)), ENTRY_LENGTH);
}

/**
 * Find and read an identifier's entry among those of a bucket.
 * @param {Uint8Array} entries
 * @param {Uint8Array} y 64 octets
 * @param {string} dataset
 * @param {number} release
 * @returns {Payload | null} null: the dataset does not hold the identifier
 * @throws {ProtocolError}
 */
export function findEntry(entries, y, dataset, release) {
  const key = stream(y, dataset, release);
  const found = [];
  for (let at = 0; at < entries.length; at += ENTRY_LENGTH) {
    let same = 0;
    while (same < TAG_LENGTH && entries[at + same] === key[same]) same++;
    if (same === TAG_LENGTH) found.push(entries.subarray(at + TAG_LENGTH, at + ENTRY_LENGTH));
  }
  const sealed = found[0];
  if (sealed === undefined) return null;
  const payload = new DataView(sealed.map((octet, i) => octet ^ (key[TAG_LENGTH + i] ?? 0)).buffer);
  const fields = payload.getUint32(0);
  const flags = payload.getUint8(4);
  const [version, zero] = [payload.getUint8(5), payload.getUint16(6)];
  const wellFormed = fields !== 0 && flags <= 3 && version === PAYLOAD_VERSION && zero === 0;
  if (found.length > 1 || !wellFormed) throw new ProtocolError('entry_malformed');
  return { fields, employer: (flags & 1) !== 0, shared: (flags & 2) !== 0 };
}
