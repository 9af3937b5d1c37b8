/** Writes src/selftest.json: `node test/make_selftest.js`. Needed when the identifier rules or the protocol change. */

import { bytesToHex, concatBytes, hexToBytes } from '@noble/hashes/utils.js';
import { ristretto255_oprf } from '@noble/curves/ed25519.js';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { acceptManifest, conclude, locate, start } from '../src/client.js';
import { utf8 } from '../src/encoding.js';
import { canonical } from '../src/identifier.js';
import { SALT, SLOW_HASH } from '../src/selftest.js';
import { slowHash } from '../src/slow_hash.js';
import { MEMBER, Steward, seeded } from './simulator.js';

const NOW = Date.UTC(2025, 4, 1) / 1000;

export function make() {
  const random = seeded('selftest');
  const steward = new Steward(random);
  const published = steward.publish({
    tables: { phone: 1 },
    datasets: { a: { kinds: ['phone'] }, b: { kinds: ['phone'] } },
    people: [{ kind: 'phone', text: MEMBER, entries: [{ dataset: 'a', fields: 0b10 }] }],
    change: (manifest) => ({
      ...manifest,
      data_classes: ['x', 'y'],
      datasets: manifest.datasets.map((dataset) => ({
        ...dataset, date: null, fields: ['y'], rows_rejected: {}, identifiers_rejected: {},
      })),
    }),
  });
  const publisherKey = hexToBytes(steward.publisherKey);
  const blind = concatBytes(random(31), new Uint8Array(1)); // below the order
  const manifest = acceptManifest(published.signed, publisherKey, NOW, 0);
  const drawing = { random: () => concatBytes(blind, new Uint8Array(32)) };
  const started = start(manifest, 'phone', canonical('phone', MEMBER), drawing);
  const { evaluated, proof } = ristretto255_oprf.voprf.blindEvaluateBatch(
    steward.sk, steward.pk, JSON.parse(started.request).elements.map(hexToBytes), random,
  );
  const message = { elements: evaluated.map(bytesToHex), proof: bytesToHex(proof) };
  const located = locate(started.state, utf8(JSON.stringify(message)));
  const page = published.pages.phone[located.state.bucket];
  return {
    kind: 'phone',
    text: MEMBER,
    now: NOW,
    publisher_key: steward.publisherKey,
    signature: bytesToHex(published.signed.subarray(0, 64)),
    manifest: new TextDecoder().decode(published.signed.subarray(64)),
    blind: bytesToHex(blind),
    response: JSON.stringify(message),
    path: located.path,
    page: bytesToHex(page),
    slow_hash: bytesToHex(slowHash('phone', '', SALT, SLOW_HASH)),
    verdict: conclude(located.state, page),
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(new URL('../src/selftest.json', import.meta.url), `${JSON.stringify(make(), null, 2)}\n`);
}
