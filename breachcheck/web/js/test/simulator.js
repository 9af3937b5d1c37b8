/**
 * Steward and service of small releases, made to be checked and to be spoilt. The OPRF is the library's own, which the
 * client does not use; Ed25519 signs through it too.
 */

import { ed25519, ristretto255_oprf } from '@noble/curves/ed25519.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, concatBytes, hexToBytes, randomBytes } from '@noble/hashes/utils.js';
import { createServer } from 'node:http';
import { bucketNumber } from '../src/bucket.js';
import { encode, utf8 } from '../src/encoding.js';
import { stream } from '../src/entry.js';
import { canonical, rulesDigest } from '../src/identifier.js';
import { leafHash, nodeHash } from '../src/merkle.js';
import { slowHash } from '../src/slow_hash.js';

const { voprf } = ristretto255_oprf;

export const DATA_CLASSES = [
  'Government issued IDs', 'Social security numbers', 'Bank account numbers', 'Phone numbers', 'Names', 'Employers',
  'Earnings', 'Dates of birth', 'Email addresses', 'Physical addresses', 'Genders', 'Marital statuses', 'Job titles',
  'Passport numbers', 'Health insurance information', 'Nationalities',
];
export const SALT = '000102030405060708090a0b0c0d0e0f';
export const PARAMETERS = {
  name: 'testing-only', algorithm: 'argon2id', version: 19, memory_kib: 8, passes: 1, lanes: 1,
};

/** Octets that only look random, for releases that must come out the same again. */
export function seeded(seed) {
  let count = 0;
  return (length) => {
    const blocks = [];
    for (let made = 0; made < length; made += 32) blocks.push(sha256(utf8(`${seed} ${count++}`)));
    return concatBytes(...blocks).slice(0, length);
  };
}

export class Steward {
  constructor(random = randomBytes) {
    this.random = random;
    const { secretKey, publicKey } = voprf.deriveKeyPair(random(32), utf8('simulator'));
    this.sk = secretKey;
    this.pk = publicKey;
    this.publisher = ed25519.utils.randomSecretKey(random(32));
    this.publisherKey = bytesToHex(ed25519.getPublicKey(this.publisher));
  }

  output(kind, form, parameters = PARAMETERS) {
    return voprf.evaluate(this.sk, slowHash(kind, form, SALT, parameters));
  }

  seal(y, dataset, release, { fields, flags = 0, version = 1, zero = 0 }) {
    const payload = new DataView(new ArrayBuffer(8));
    payload.setUint32(0, fields);
    payload.setUint8(4, flags);
    payload.setUint8(5, version);
    payload.setUint16(6, zero);
    const octets = new Uint8Array(payload.buffer);
    return stream(y, dataset, release).map((octet, i) => (i < 16 ? octet : octet ^ octets[i - 16]));
  }

  sign(manifest) {
    return this.signText(utf8(JSON.stringify(manifest)));
  }

  signText(text) {
    return concatBytes(ed25519.sign(encode('manifest', text), this.publisher), text);
  }

  evaluate(body) {
    const elements = JSON.parse(body).elements.map(hexToBytes);
    const { evaluated, proof } = voprf.blindEvaluateBatch(this.sk, this.pk, elements);
    return JSON.stringify({ elements: evaluated.map(bytesToHex), proof: bytesToHex(proof) });
  }

  /**
   * Make a release. `tables`: prefix bits by kind. `datasets`: name -> {kinds, fields}. `people`: what each
   * identifier's entries hold, [{kind, text, entries: [{dataset, fields, flags}]}].
   */
  publish({ release = 7, tables, datasets, people, parameters = PARAMETERS, change = (manifest) => manifest }) {
    const pages = {};
    const kinds = Object.entries(tables).map(([kind, bits]) => {
      const buckets = Array.from({ length: 2 ** bits }, () => []);
      const members = buckets.map(() => 0);
      for (const person of people.filter((candidate) => candidate.kind === kind)) {
        const y = this.output(kind, canonical(kind, person.text), parameters);
        const bucket = bucketNumber(y, kind, bits);
        members[bucket]++;
        for (const { dataset, ...payload } of person.entries) {
          buckets[bucket].push(this.seal(y, dataset, release, payload));
        }
      }
      const most = Math.max(1, ...buckets.map((entries) => entries.length));
      const leaves = buckets.map((entries) => {
        while (entries.length < most) entries.push(this.random(24));
        return concatBytes(...entries.sort((a, b) => (bytesToHex(a) < bytesToHex(b) ? -1 : 1)));
      });
      const levels = [leaves.map(leafHash)];
      while (levels[0].length > 1) {
        const below = levels[0];
        levels.unshift(below.filter((_, i) => i % 2 === 0).map((left, i) => nodeHash(left, below[2 * i + 1])));
      }
      levels.reverse();
      pages[kind] = leaves.map((leaf, bucket) =>
        concatBytes(leaf, ...levels.slice(0, bits).map((nodes, level) => nodes[(bucket >> level) ^ 1])),
      );
      return {
        kind,
        rules: rulesDigest(kind),
        prefix_bits: bits,
        entries_per_bucket: most,
        root: bytesToHex(levels[bits][0]),
        members_min: Math.min(...members),
        population_min: 1000,
      };
    });
    const manifest = change({
      protocol: 'breachcheck-v1',
      suite: 'ristretto255-SHA512',
      release,
      created: '2025-04-10T00:00:00Z',
      valid_until: '2099-12-31T23:59:59Z',
      service_salt: SALT,
      slow_hash: parameters,
      public_key: bytesToHex(this.pk),
      data_classes: DATA_CLASSES,
      kinds,
      datasets: Object.entries(datasets).map(([name, dataset]) => ({
        name,
        title: {},
        date: '2025-04-08',
        source_note: {},
        authenticity_note: {},
        fields: DATA_CLASSES,
        rows_read: 10,
        rows_accepted: 9,
        rows_rejected: { no_identifier: 1 },
        identifiers_rejected: { phone: { format: 2 } },
        ...dataset,
      })),
      canaries: [],
      withdrawn: [],
      erasures: 0,
    });
    return { release, manifest, signed: this.sign(manifest), pages };
  }
}

/** A release with one member, one dataset that holds it, one that does not and one that cannot be asked. */
export function small(steward, options = {}) {
  return steward.publish({
    tables: { phone: 1 },
    datasets: {
      'cnss-2025': { kinds: ['phone'] },
      'other-2025': { kinds: ['phone'] },
      'third-2025': { kinds: [] },
    },
    people: [
      { kind: 'phone', text: MEMBER, entries: [{ dataset: 'cnss-2025', fields: 0b1011000, flags: 1 }] },
      { kind: 'phone', text: '0700000001', entries: [{ dataset: 'cnss-2025', fields: 0b1 }] },
      { kind: 'phone', text: '0700000002', entries: [{ dataset: 'other-2025', fields: 0b10000 }] },
    ],
    ...options,
  });
}
export const MEMBER = '+212 6 12-34-56-78';
export const STRANGER = '0655555555';
export const EXPOSED = {
  type: 'exposed',
  release: 7,
  exposures: [{ dataset: 'cnss-2025', fields: ['Phone numbers', 'Names', 'Earnings'], employer: true, shared: false }],
  checked: ['cnss-2025', 'other-2025'],
  unchecked: [{ dataset: 'third-2025', kinds: [] }],
  coverage: ['cnss-2025', 'other-2025'].map((dataset) => ({
    dataset, rows_read: 10, rows_accepted: 9, identifiers_rejected: 2,
  })),
};
const { checked, unchecked, coverage } = EXPOSED;
export const ABSENT = { type: 'not_found', release: 7, checked, unchecked, coverage };

/** Answer of the service to a request, before anything is spoilt. */
export function answer(steward, published, method, path, body) {
  const octets = 'application/octet-stream';
  const page = /^\/v1\/releases\/([0-9]+)\/buckets\/([^/]+)\/([0-9a-f]{6})$/.exec(path);
  if (path === '/v1/manifest') return { status: 200, headers: { 'content-type': octets }, body: published.signed };
  if (method === 'POST' && path === '/v1/evaluate') {
    return { status: 200, headers: { 'content-type': 'application/json' }, body: utf8(steward.evaluate(body)) };
  }
  const found = page && Number(page[1]) === published.release && published.pages[page[2]]?.[parseInt(page[3], 16)];
  if (found) return { status: 200, headers: { 'content-type': octets }, body: found };
  return { status: 404, headers: { 'content-type': 'application/problem+json' }, body: utf8('{}') };
}

/**
 * Serve releases on a free port. `spoil(request, response, good)` may answer in another way: it returns true then.
 * `current` may be set to another release at any time.
 */
export async function serve(steward, published, spoil = () => false) {
  const log = [];
  const service = { current: published, log };
  const server = createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    const body = Buffer.concat(parts).toString();
    log.push({ method: request.method, path: request.url, body, headers: request.headers });
    const good = answer(steward, service.current, request.method, request.url, body);
    if (spoil(request, response, good, service)) return;
    response.writeHead(good.status, { ...good.headers, 'content-length': good.body.length });
    response.end(good.body);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  service.base = `http://127.0.0.1:${server.address().port}`;
  service.close = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return service;
}
