/**
 * The steps of a check. Each takes a frozen state and what came in, and returns a frozen state and what goes out; none
 * touches network, clock or storage. PROTOCOL §9.2.
 * @module
 */

import { hexToBytes } from '@noble/hashes/utils.js';
import { equalBytes } from '@noble/curves/utils.js';
import { bucketName, bucketNumber, pageLength, splitPage } from './bucket.js';
import { findEntry } from './entry.js';
import { ProtocolError } from './errors.js';
import { rulesDigest } from './identifier.js';
import { readManifest } from './manifest.js';
import { leafHash, rootFrom } from './merkle.js';
import { evaluationRequest, readEvaluation } from './messages.js';
import { blind, decodeElement, finalize, verifyProof } from './oprf.js';
import { slowHash } from './slow_hash.js';
import { deepFreeze } from './verdict.js';

/** @typedef {import('./manifest.js').Manifest} Manifest */
/** @typedef {import('./manifest.js').Table} Table */
/** @typedef {import('./oprf.js').Element} Element */

/**
 * @typedef {{readonly manifest: Manifest, readonly table: Table, readonly input: Uint8Array, readonly blind: bigint,
 *   readonly blinded: Element}} Started
 */

/**
 * @typedef {{readonly manifest: Manifest, readonly table: Table, readonly y: Uint8Array,
 *   readonly bucket: number}} Located
 */

/**
 * Step 3: check a signed manifest.
 * @param {Uint8Array} signed
 * @param {Uint8Array} publisherKey 32 octets, pinned
 * @param {number} now seconds since 1970
 * @param {number} highest release number seen so far, 0 if none
 * @returns {Manifest}
 * @throws {ProtocolError}
 */
export function acceptManifest(signed, publisherKey, now, highest) {
  const manifest = readManifest(signed, publisherKey, now);
  if (manifest.release < highest) throw new ProtocolError('release_rolled_back'); // §8.3, 9
  return manifest;
}

/**
 * Steps 4 to 6: hash and blind an identifier.
 * @param {Manifest} manifest
 * @param {string} kind
 * @param {string} form canonical
 * @param {{random?: (length: number) => Uint8Array, progress?: (done: number) => void}} [options] `random` is for
 *   vectors only; `progress` gets the part of the slow hash that is done
 * @returns {{state: Started, request: string}}
 * @throws {ProtocolError}
 */
export function start(manifest, kind, form, { random, progress } = {}) {
  const table = manifest.kinds.find((candidate) => candidate.kind === kind);
  if (table === undefined || !manifest.datasets.some(({ kinds }) => kinds.includes(kind))) {
    throw new ProtocolError('kind_not_indexed'); // 4
  }
  if (table.rules !== rulesDigest(kind)) throw new ProtocolError('identifier_rules'); // 5
  const input = slowHash(kind, form, manifest.service_salt, manifest.slow_hash, progress); // 6
  const hidden = blind(input, random);
  return { state: Object.freeze({ manifest, table, input, ...hidden }), request: evaluationRequest([hidden.blinded]) };
}

/**
 * Step 7: check the evaluator's proof and compute the bucket to fetch.
 * @param {Started} state
 * @param {Uint8Array} response
 * @returns {{state: Located, path: string, length: number}} path of the page under the base URL; its length in octets
 * @throws {ProtocolError}
 */
export function locate({ manifest, table, input, blind: scalar, blinded }, response) {
  const { elements, proof } = readEvaluation(response);
  const publicKey = decodeElement(hexToBytes(manifest.public_key));
  const evaluated = elements[0];
  if (evaluated === undefined || elements.length !== 1) throw new ProtocolError('evaluation_proof');
  if (!verifyProof(publicKey, [blinded], [evaluated], proof)) throw new ProtocolError('evaluation_proof');
  const y = finalize(input, scalar, evaluated);
  const bucket = bucketNumber(y, table.kind, table.prefix_bits);
  return {
    state: Object.freeze({ manifest, table, y, bucket }),
    path: `/v1/releases/${manifest.release}/buckets/${encodeURIComponent(table.kind)}/${bucketName(bucket)}`,
    length: pageLength(table.entries_per_bucket, table.prefix_bits),
  };
}

/**
 * Steps 8 and 9: check the bucket's proof and look for the identifier, dataset by dataset. Nothing else makes a
 * `not_found`.
 * @param {Located} state
 * @param {Uint8Array} page
 * @returns {import('./verdict.js').Exposed | import('./verdict.js').NotFound}
 * @throws {ProtocolError}
 */
export function conclude({ manifest, table, y, bucket }, page) {
  if (page.length !== pageLength(table.entries_per_bucket, table.prefix_bits)) throw new ProtocolError('bucket_length');
  const { entries, path } = splitPage(page, table.entries_per_bucket);
  const root = rootFrom(leafHash(entries), bucket, path);
  if (!equalBytes(root, hexToBytes(table.root))) throw new ProtocolError('bucket_proof');

  const exposures = [];
  const checked = [];
  const unchecked = [];
  const coverage = [];
  for (const { name: dataset, kinds, fields, rows_read, rows_accepted, identifiers_rejected: cells } of manifest.datasets) {
    const payload = findEntry(entries, y, dataset, manifest.release);
    // A file without this kind can still be known to hold the person, by another file that has both.
    if (kinds.includes(table.kind)) {
      const identifiers_rejected = Object.values(cells[table.kind] ?? {}).reduce((sum, count) => sum + count, 0);
      checked.push(dataset);
      coverage.push({ dataset, rows_read, rows_accepted, identifiers_rejected });
    } else if (payload === null) unchecked.push({ dataset, kinds });
    if (payload !== null) {
      const exposed = fieldNames(payload.fields, manifest.data_classes);
      if (!exposed.every((field) => fields.includes(field))) throw new ProtocolError('entry_malformed');
      exposures.push({ dataset, fields: exposed, employer: payload.employer, shared: payload.shared });
    }
  }
  const { release } = manifest;
  if (exposures.length > 0) return deepFreeze({ type: 'exposed', release, exposures, checked, unchecked, coverage });
  return deepFreeze({ type: 'not_found', release, checked, unchecked, coverage });
}

/**
 * Return the names of the data classes in a mask.
 * @param {number} mask unsigned, 32 bits
 * @param {readonly string[]} names lowest bit first
 * @returns {string[]}
 */
function fieldNames(mask, names) {
  const bits = Array.from({ length: 32 }, (_, bit) => bit).filter((bit) => (mask >>> bit) & 1);
  return bits.map((bit) => {
    const name = names[bit];
    if (name === undefined) throw new ProtocolError('entry_malformed');
    return name;
  });
}
