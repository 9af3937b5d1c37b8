/** Whole checks over HTTP, against a service that fails in every way there is. */

import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { after, before, test } from 'node:test';
import { check } from '../src/driver.js';
import { InputError, ProtocolError } from '../src/errors.js';
import { ABSENT, EXPOSED, MEMBER, STRANGER, Steward, serve, small } from './simulator.js';

const steward = new Steward();
const published = small(steward);
const OCTETS = 'application/octet-stream';

/** Remembers in an object, as the page does in its storage. */
const remembering = (release = 0) => ({
  release,
  read() {
    return this.release;
  },
  write(number) {
    this.release = number;
  },
});

let service;
/** How the next requests are answered instead: see `serve`. */
let spoil = () => false;

before(async () => {
  service = await serve(steward, published, (...request) => spoil(...request));
});
after(() => service.close());

/** Check over the spoilt service. */
async function ask(text = STRANGER, { kind = 'phone', ...options } = {}) {
  service.log.length = 0;
  service.current = published;
  try {
    return await check(kind, text, {
      base: service.base, publisherKey: steward.publisherKey, memory: remembering(), timeLimit: 5000, ...options,
    });
  } finally {
    spoil = () => false;
  }
}

const reasonFor = async (...request) => {
  const { verdict } = await ask(...request);
  assert.equal(verdict.type, 'undetermined');
  return verdict.reason;
};

/** Spoil one of the three requests. */
const at = (place, how) => (request, response, good, server) => {
  if (!request.url.startsWith(place)) return false;
  how(response, good, server, request);
  return true;
};
const [MANIFEST, EVALUATE, BUCKET] = ['/v1/manifest', '/v1/evaluate', '/v1/releases/'];
const EVERY = [MANIFEST, EVALUATE, BUCKET];

/** Answer with this status, these headers and this body; what is left out is the good one's. */
const reply = (change) => (response, good) => {
  const { status = good.status, headers = {}, body = good.body } = change;
  response.writeHead(status, { ...good.headers, 'content-length': body.length, ...headers });
  response.end(body);
};

/** Serve what a release with this change would. */
const served = (change, options = {}) => {
  const other = small(steward, { change, ...options });
  return at(MANIFEST, (response, good) => reply({ body: other.signed })(response, good));
};

test('a member is exposed, a stranger is not found', async () => {
  const member = await ask(MEMBER);
  assert.deepEqual(member.verdict, EXPOSED);
  assert.deepEqual(member.datasets, published.manifest.datasets);
  assert.deepEqual((await ask(STRANGER)).verdict, ABSENT);
  assert.ok(Object.isFrozen(member) && Object.isFrozen(member.verdict) && Object.isFrozen(member.verdict.exposures[0]));
});

test('the requests of member and stranger are alike, and hold no identifier', async () => {
  const seen = [];
  for (const text of [MEMBER, STRANGER]) {
    await ask(text);
    seen.push(service.log.map(({ method, path, body, headers }) => ({
      method, path: path.replace(/[01]$/, '?'), length: body.length, headers: Object.entries(headers),
    })));
    const everything = JSON.stringify(service.log);
    for (const form of ['612345678', '655555555']) assert.ok(!everything.includes(form));
  }
  assert.deepEqual(seen[0], seen[1]);
  assert.deepEqual(seen[0].map(({ method, path }) => `${method} ${path}`), [
    'GET /v1/manifest', 'POST /v1/evaluate', 'GET /v1/releases/7/buckets/phone/00000?',
  ]);
});

test('every check draws a new blind', async () => {
  const elements = new Set();
  for (let i = 0; i < 3; i++) {
    await ask(MEMBER);
    elements.add(service.log[1].body);
  }
  assert.equal(elements.size, 3);
});

test('a text that is no identifier is refused before any request', async () => {
  await assert.rejects(ask('+33612345678'), (error) => error instanceof InputError && error.reason === 'format');
  await assert.rejects(ask('0612345678', { kind: 'name' }), { reason: 'unknown_kind' });
  assert.equal(service.log.length, 0);
});

test('progress is told stage by stage', async () => {
  const stages = [];
  await ask(MEMBER, { progress: (stage, done) => stages.push([stage, done]) });
  assert.deepEqual([...new Set(stages.map(([stage]) => stage))], ['manifest', 'slow_hash', 'evaluation', 'bucket']);
  assert.ok(stages.every(([, done]) => done >= 0 && done <= 1));
  assert.ok(stages.some(([stage, done]) => stage === 'slow_hash' && done === 1));
});

const STATUSES = {
  rate_limited: [429],
  missing: [404],
  unavailable: [503],
  not_the_service: [201, 204, 206, 300, 301, 302, 304, 307, 308, 511],
  server_error: [500, 501, 502, 504, 505, 599],
  refused: [400, 401, 403, 405, 413, 415, 418, 499], // of a 407 fetch itself makes a network error
};

for (const place of EVERY) {
  test(`statuses of ${place}`, async () => {
    for (const [reason, statuses] of Object.entries(STATUSES)) {
      for (const status of statuses) {
        const body = [204, 304].includes(status) ? '' : undefined;
        spoil = at(place, reply({ status, body, headers: { location: '/v1/manifest' } }));
        assert.equal(await reasonFor(), reason, String(status));
        assert.ok(service.log.filter(({ path }) => path.startsWith(place)).length === 1, 'no redirect is followed');
      }
    }
  });

  test(`media types of ${place}`, async () => {
    for (const type of ['text/html', 'text/plain', '', 'application/octet-stream2', 'application/problem+json', 'x']) {
      spoil = at(place, reply({ headers: { 'content-type': type } }));
      assert.equal(await reasonFor(), 'not_the_service', type);
    }
    spoil = at(place, (response, good) => response.writeHead(200, {}).end(good.body));
    assert.equal(await reasonFor(), 'not_the_service');
    spoil = at(place, (response, good) => {
      const type = good.headers['content-type'].toUpperCase();
      reply({ headers: { 'content-type': `${type} ; charset=binary` } })(response, good);
    });
    assert.equal((await ask()).verdict.type, 'not_found');
  });

  test(`broken connections of ${place}`, async () => {
    spoil = at(place, (response) => response.socket.destroy());
    assert.equal(await reasonFor(), 'unreachable');
    spoil = at(place, (response, good) => {
      response.writeHead(200, { ...good.headers, 'content-length': good.body.length });
      response.write(good.body.subarray(0, 10), () => response.socket.destroy());
    });
    assert.equal(await reasonFor(), 'connection_closed');
    spoil = at(place, (response, good) => {
      response.writeHead(200, { ...good.headers, 'transfer-encoding': 'chunked' });
      response.write(good.body, () => response.socket.destroy()); // whole, but the last chunk is missing
    });
    assert.equal(await reasonFor(), 'connection_closed');
  });

  test(`time limits of ${place}`, async () => {
    spoil = at(place, () => {});
    assert.equal(await reasonFor(STRANGER, { timeLimit: 50 }), 'timeout');
    spoil = at(place, (response, good) => {
      response.writeHead(200, { ...good.headers, 'content-length': good.body.length });
      response.write(good.body.subarray(0, 10));
    });
    assert.equal(await reasonFor(STRANGER, { timeLimit: 300 }), 'timeout');
  });

  test(`empty, truncated, longer and HTML bodies of ${place}`, async () => {
    const html = Buffer.from('<!DOCTYPE html><p>Log in to the network');
    const reasons = {
      [MANIFEST]: ['manifest_malformed', 'manifest_signature', 'manifest_signature', 'manifest_malformed'],
      [EVALUATE]: Array(4).fill('evaluation_malformed'),
      [BUCKET]: Array(4).fill('bucket_length'),
    }[place];
    const bodies = [
      () => Buffer.alloc(0),
      (body) => body.subarray(0, -1),
      (body) => Buffer.concat([body, Buffer.from([1])]),
      () => html,
    ];
    for (const [i, body] of bodies.entries()) {
      spoil = at(place, (response, good) => reply({ body: body(good.body) })(response, good));
      assert.equal(await reasonFor(), reasons[i]);
    }
  });
}

test('retry-after of 429 and 503 goes with the verdict, as seconds', async () => {
  const cases = [
    [429, '120', 120], [503, '0', 0], [429, '86400', 86400], [429, '86401', null], [429, '-1', null],
    [429, '1.5', null],
    [429, 'soon', null], [429, '', null], [503, 'Fri, 31 Dec 2021 23:59:59 GMT', null], [500, '120', null],
    [404, '120', null], [503, 'Fri, 31 Dec 2999 23:59:59 GMT', null],
  ];
  for (const [status, value, expected] of cases) {
    spoil = at(EVALUATE, reply({ status, headers: { 'retry-after': value } }));
    assert.equal((await ask()).verdict.retry_after, expected, `${status} ${value}`);
  }
  const later = new Date(Date.now() + 100_000).toUTCString();
  spoil = at(EVALUATE, reply({ status: 503, headers: { 'retry-after': later } }));
  const { retry_after } = (await ask()).verdict;
  assert.ok(retry_after > 60 && retry_after <= 100, String(retry_after));
});

test('maintenance is told with its end, by the notice of a 503 alone', async () => {
  const type = 'application/problem+json';
  const notice = { type: 'urn:breachcheck:problem:maintenance', title: 'x', status: 503, until: '2026-12-01T04:00:00Z' };
  const told = async (place, body, { status = 503, headers = {} } = {}) => {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    const spoilt = { status, body: Buffer.from(text), headers: { 'content-type': type, 'retry-after': '60', ...headers } };
    spoil = at(place, reply(spoilt));
    const { verdict } = await ask();
    assert.equal(verdict.type, 'undetermined');
    return verdict;
  };
  const maintenance = { type: 'undetermined', reason: 'maintenance', retry_after: 60, until: notice.until };
  for (const place of EVERY) {
    assert.deepEqual(await told(place, notice), maintenance);
    assert.deepEqual(await told(place, notice, { headers: { 'content-type': `${type}; charset=utf-8` } }), maintenance);
    for (const body of [
      '', '[]', 'null', '{', 'x'.repeat(3000), { ...notice, until: undefined }, { ...notice, until: null },
      { ...notice, until: '2026-12-01' }, { ...notice, until: '2026-02-30T04:00:00Z' }, { ...notice, type: 'about:blank' },
      { ...notice, detail: 'x'.repeat(2048) }, [notice],
    ]) {
      const verdict = await told(place, body);
      assert.deepEqual([verdict.reason, verdict.until], ['unavailable', null], JSON.stringify(body));
    }
    assert.equal((await told(place, notice, { headers: { 'content-type': 'application/json' } })).reason, 'unavailable');
    assert.equal((await told(place, notice, { status: 500 })).reason, 'server_error');
    assert.equal((await told(place, notice, { status: 200 })).reason, 'not_the_service');
    spoil = at(place, (response) => {
      response.writeHead(503, { 'content-type': type, 'content-length': 500 });
      response.write(JSON.stringify(notice), () => response.socket.destroy());
    });
    assert.equal(await reasonFor(), 'unavailable');
  }
});

test('answers that are too long are not read to their end', async () => {
  const endless = (response, { headers }) => {
    response.writeHead(200, headers);
    const more = () => response.writable && response.write(Buffer.alloc(65536), more);
    more();
  };
  const announced = (response, { headers }) => {
    response.writeHead(200, { ...headers, 'content-length': 1 << 30 });
    response.flushHeaders();
  };
  for (const [place, reason] of Object.entries({
    [MANIFEST]: 'answer_too_long', [EVALUATE]: 'answer_too_long', [BUCKET]: 'bucket_length',
  })) {
    for (const how of [endless, announced]) {
      spoil = at(place, how);
      assert.equal(await reasonFor(), reason);
    }
  }
  for (const [length, reason] of [[2048, 'evaluation_malformed'], [2049, 'answer_too_long']]) {
    spoil = at(EVALUATE, reply({ body: Buffer.alloc(length, ' ') }));
    assert.equal(await reasonFor(), reason);
  }
  for (const [length, reason] of [[1 << 20, 'manifest_signature'], [(1 << 20) + 1, 'answer_too_long']]) {
    spoil = at(MANIFEST, reply({ body: Buffer.alloc(length, ' ') }));
    assert.equal(await reasonFor(), reason);
  }
});

test('unreachable: nobody listens, or no such name', async () => {
  const closed = createServer();
  await new Promise((resolve) => closed.listen(0, '127.0.0.1', resolve));
  const { port } = closed.address();
  await new Promise((resolve) => closed.close(resolve));
  assert.equal(await reasonFor(STRANGER, { base: `http://127.0.0.1:${port}` }), 'unreachable');
  assert.equal(await reasonFor(STRANGER, { base: 'http://breachcheck.invalid' }), 'unreachable');
});

test('manifests of every kind of fault', async () => {
  const cases = {
    manifest_version: { protocol: 'breachcheck-v2' },
    manifest_malformed: { more: 1 },
    manifest_parameters: { slow_hash: { ...published.manifest.slow_hash, passes: 2 } },
    manifest_expired: { valid_until: '2025-04-11T00:00:00Z' },
    manifest_not_yet_valid: { created: '2099-04-11T00:00:00Z' },
    kind_not_indexed: { kinds: [], datasets: [] },
    identifier_rules: { kinds: published.manifest.kinds.map((kind) => ({ ...kind, rules: '00'.repeat(32) })) },
  };
  for (const [reason, change] of Object.entries(cases)) {
    spoil = served((manifest) => ({ ...manifest, ...change }));
    assert.equal(await reasonFor(), reason);
  }
  assert.equal(await reasonFor(STRANGER, { publisherKey: new Steward().publisherKey }), 'manifest_signature');
  assert.equal(await reasonFor('AB123456', { kind: 'national_id' }), 'kind_not_indexed');
});

test('validity ends with its last second, and begins 24 hours before the release was made', async () => {
  const { created, valid_until } = published.manifest;
  const day = 24 * 60 * 60 * 1000;
  const cases = [
    [Date.parse(valid_until) + 999, 'not_found'], [Date.parse(valid_until) + 1000, 'manifest_expired'],
    [Date.parse(created) - day, 'not_found'], [Date.parse(created) - day - 1, 'manifest_not_yet_valid'],
  ];
  for (const [now, expected] of cases) {
    const { verdict } = await ask(STRANGER, { clock: () => now });
    assert.equal(verdict.reason ?? verdict.type, expected);
  }
});

test('release memory: read before, written after the manifest, never lowered', async () => {
  const memory = remembering();
  await ask(STRANGER, { memory });
  assert.equal(memory.release, 7);
  assert.equal((await ask(STRANGER, { memory: remembering(7) })).verdict.type, 'not_found');
  const ahead = remembering(8);
  assert.equal(await reasonFor(STRANGER, { memory: ahead }), 'release_rolled_back');
  assert.equal(ahead.release, 8);
  const fail = () => {
    throw new ProtocolError('release_memory');
  };
  assert.equal(await reasonFor(STRANGER, { memory: { read: fail, write: assert.fail } }), 'release_memory');
  assert.equal(service.log.length, 0);
  assert.equal(await reasonFor(STRANGER, { memory: { read: () => 0, write: fail } }), 'release_memory');
  assert.equal(service.log.length, 1);
});

test('a false evaluation is not believed', async () => {
  const another = new Steward();
  const forge = (change) => at(EVALUATE, (response, good) => {
    reply({ body: Buffer.from(JSON.stringify(change(JSON.parse(Buffer.from(good.body).toString())))) })(response, good);
  });
  spoil = at(EVALUATE, (response, good) => {
    reply({ body: Buffer.from(another.evaluate(service.log.at(-1).body)) })(response, good);
  });
  assert.equal(await reasonFor(), 'evaluation_proof');
  spoil = forge((message) => ({ ...message, elements: [message.elements[0], message.elements[0]] }));
  assert.equal(await reasonFor(), 'evaluation_proof');
  spoil = forge((message) => ({ ...message, proof: '00'.repeat(64) }));
  assert.equal(await reasonFor(), 'evaluation_proof');
  spoil = forge((message) => ({ ...message, elements: ['00'.repeat(32)] }));
  assert.equal(await reasonFor(), 'evaluation_malformed');
  spoil = served((manifest) => ({ ...manifest, public_key: '00'.repeat(32) }));
  assert.equal(await reasonFor(), 'evaluation_malformed');
});

test('a false bucket is not believed', async () => {
  spoil = at(BUCKET, (response, good) => reply({ body: Buffer.alloc(good.body.length) })(response, good));
  assert.equal(await reasonFor(), 'bucket_proof');
  spoil = at(BUCKET, (response, good, { current }, { url }) => {
    reply({ body: current.pages.phone[1 - Number(url.at(-1))] })(response, good);
  });
  assert.equal(await reasonFor(), 'bucket_proof');
});

test('a malformed entry ends the whole check', async () => {
  const people = [{ kind: 'phone', text: MEMBER, entries: [
    { dataset: 'cnss-2025', fields: 1 }, { dataset: 'other-2025', fields: 1, version: 2 },
  ] }];
  const other = small(steward, { people });
  spoil = (request, response, good, server) => {
    server.current = other;
    if (request.url !== MANIFEST) return false;
    reply({ body: other.signed })(response, good);
    return true;
  };
  assert.equal(await reasonFor(MEMBER), 'entry_malformed');
});

/** Serve one release after another: the next takes the place of the current one when `place` is asked for. */
const changing = (place, ...releases) => (request, response, good, server) => {
  if (!request.url.startsWith(place) || releases.length === 0) return false;
  server.current = releases.shift();
  reply({ status: 404 })(response, good);
  return true;
};

for (const place of [EVALUATE, BUCKET]) {
  test(`the release changes during a check, at ${place}: it starts again, once`, async () => {
    const memory = remembering();
    const next = small(steward, { release: 8 });
    spoil = changing(place, next);
    const { verdict, datasets } = await ask(MEMBER, { memory });
    assert.deepEqual(verdict, { ...EXPOSED, release: 8 });
    assert.deepEqual(datasets, next.manifest.datasets);
    assert.equal(memory.release, 8);
    const [first, second] = service.log.filter(({ path }) => path === EVALUATE);
    assert.notEqual(first.body, second.body);
    assert.equal(service.log.filter(({ path }) => path === MANIFEST).length, 2);

    spoil = changing(place, small(steward, { release: 8 }), small(steward, { release: 9 }));
    assert.equal(await reasonFor(MEMBER), 'release_changed');
    assert.equal(service.log.filter(({ path }) => path === MANIFEST).length, 2);

    spoil = changing(place, small(steward, { release: 6 }));
    assert.equal(await reasonFor(MEMBER), 'release_rolled_back');

    spoil = changing(place, published);
    assert.equal(await reasonFor(MEMBER), 'missing');
    assert.equal(service.log.filter(({ path }) => path === MANIFEST).length, 2);

    const stale = (manifest) => ({ ...manifest, valid_until: '2025-04-11T00:00:00Z' });
    spoil = changing(place, small(steward, { release: 8, change: stale }));
    assert.equal(await reasonFor(MEMBER), 'manifest_expired');
  });
}

test('the evaluator\'s key changes during a check: it starts again, once', async () => {
  const renewed = new Steward();
  renewed.publisher = steward.publisher;
  const evaluating = (by, after) => (request, response, good, server) => {
    if (request.url !== EVALUATE) return false;
    const body = Buffer.from(by.evaluate(server.log.at(-1).body));
    server.current = after;
    reply({ body })(response, good);
    return true;
  };
  const next = small(renewed, { release: 7 });
  let asked = 0;
  spoil = (request, ...rest) => evaluating(renewed, next)(request, ...rest);
  assert.equal((await ask(MEMBER)).verdict.type, 'exposed');
  assert.equal(service.log.length, 5);

  spoil = (request, ...rest) => {
    asked += request.url === EVALUATE ? 1 : 0;
    return evaluating(asked === 1 ? renewed : steward, next)(request, ...rest);
  };
  assert.equal(await reasonFor(MEMBER), 'release_changed');
});

test('what is nobody else\'s fault is the client\'s', async () => {
  const { fetch } = globalThis;
  try {
    delete globalThis.fetch;
    assert.equal(await reasonFor(), 'client_fault');
  } finally {
    globalThis.fetch = fetch;
  }
  assert.equal(await reasonFor(STRANGER, { publisherKey: 'no key' }), 'client_fault');
  const full = { read: () => 0, write: () => { throw new RangeError('out of memory'); } };
  assert.equal(await reasonFor(STRANGER, { memory: full }), 'client_fault');
});
