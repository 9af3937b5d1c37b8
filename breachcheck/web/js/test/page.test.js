/** The page's side: a worker that runs the real bundle, one that does not, and the browser's storage. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { Worker as Thread } from 'node:worker_threads';
import { bundles } from '../build.js';
import { InputError, check, fetchWorker } from '../src/check.js';
import { selftest } from '../src/selftest.js';
import known from '../src/selftest.json' with { type: 'json' };
import { make } from './make_selftest.js';
import { ABSENT, EXPOSED, MEMBER, STRANGER, Steward, serve, small } from './simulator.js';

/** What a browser's worker has, on a thread of Node.js, without what browsers of before 2021 lack. */
const PRELUDE = `
  delete Object.hasOwn;
  const { parentPort } = require('node:worker_threads');
  globalThis.postMessage = (message) => parentPort.postMessage(message);
  globalThis.addEventListener = (type, listener) => parentPort.on(type, (data) => listener({ data }));
`;

/** The scripts there are, by URL. */
const scripts = new Map();
const alive = new Set();

/** The part of the browser's Worker that a page uses. */
class BrowserWorker {
  #thread;
  constructor(url) {
    assert.ok(scripts.has(url));
    this.#thread = new Thread(PRELUDE + scripts.get(url), { eval: true });
    alive.add(this.#thread);
    this.#thread.on('message', (data) => this.onmessage({ data }));
    this.#thread.on('error', (error) => this.onerror(error));
    this.#thread.on('exit', () => alive.delete(this.#thread));
  }
  postMessage(message) {
    this.#thread.postMessage(message);
  }
  terminate() {
    this.#thread.terminate();
  }
}

/** A Storage as browsers have it, with the faults that they have. */
class BrowserStorage {
  items = new Map();
  getItem(name) {
    return this.items.get(name) ?? null;
  }
  setItem(name, value) {
    this.items.set(name, value);
  }
}

let steward;
let service;
let storage;

before(async () => {
  const bundle = (await bundles()).find(({ name }) => name === 'worker.js');
  scripts.set('/worker.js', new TextDecoder().decode(bundle.contents));
  steward = new Steward();
  service = await serve(steward, small(steward));
});
beforeEach(() => {
  storage = new BrowserStorage();
  globalThis.Worker = BrowserWorker;
  Object.defineProperty(globalThis, 'localStorage', { configurable: true, get: () => storage });
});
afterEach(() => {
  for (const name of ['Worker', 'localStorage', 'trustedTypes', 'location']) delete globalThis[name];
});
after(() => service.close());

/** Check as a page does, by a publisher of its own: the memory of a visit is by publisher. */
async function ask(text, options = {}) {
  const { publisherKey } = steward;
  return check('phone', text, { worker: '/worker.js', base: service.base, publisherKey, ...options });
}
const reasonFor = async (options, text = STRANGER) => (await ask(text, options)).verdict.reason;

/** A new publisher, and so an empty memory. */
function anew() {
  steward = new Steward();
  service.steward = steward;
  return serve(steward, small(steward)).then((other) => service.close().then(() => (service = other)));
}

test('a whole check in a worker, told step by step', async () => {
  const stages = [];
  const progress = (stage, done) => stages.push(`${stage} ${done >= 0 && done <= 1}`);
  const { verdict, datasets } = await ask(MEMBER, { progress });
  assert.deepEqual(verdict, EXPOSED);
  assert.deepEqual(datasets, service.current.manifest.datasets);
  assert.ok(Object.isFrozen(verdict.exposures[0].fields) && Object.isFrozen(datasets[0].title));
  assert.deepEqual([...new Set(stages)], ['manifest true', 'slow_hash true', 'evaluation true', 'bucket true']);
  assert.deepEqual((await ask(STRANGER)).verdict, ABSENT);
});

test('workers are ended', async () => {
  await ask(MEMBER);
  while (alive.size > 0) await new Promise((resolve) => setTimeout(resolve, 10));
});

test('a text that is no identifier starts no worker', async () => {
  globalThis.Worker = assert.fail;
  await assert.rejects(ask('06123x'), (error) => error instanceof InputError && error.reason === 'format');
});

test('the storage holds the release number, and nothing else', async () => {
  await anew();
  await ask(MEMBER);
  assert.deepEqual([...storage.items], [[`breachcheck-release-${steward.publisherKey}`, '7']]);
});

test('an older release than the one remembered is refused', async () => {
  await anew();
  storage.setItem(`breachcheck-release-${steward.publisherKey}`, '8');
  assert.equal(await reasonFor(), 'release_rolled_back');
  assert.equal(storage.getItem(`breachcheck-release-${steward.publisherKey}`), '8');
});

test('a memory that cannot be read is never taken for an empty one', async () => {
  await anew();
  for (const value of ['', 'seven', '7.5', '-7', ' 7', '9007199254740992', '1e3', '99999999999999999']) {
    storage.setItem(`breachcheck-release-${steward.publisherKey}`, value);
    assert.equal(await reasonFor(), 'release_memory', value);
    assert.equal(storage.getItem(`breachcheck-release-${steward.publisherKey}`), value);
  }
  storage.getItem = () => {
    throw new Error('broken');
  };
  assert.equal(await reasonFor(), 'release_memory');
});

test('a memory that cannot be written stops the check', async () => {
  await anew();
  storage.setItem = () => {
    throw new Error('QuotaExceededError');
  };
  assert.equal(await reasonFor(), 'release_memory');
  assert.deepEqual([...storage.items], []);
});

test('blocked storage: the visit remembers', async () => {
  await anew();
  for (const get of [() => null, () => { throw new Error('SecurityError'); }]) {
    Object.defineProperty(globalThis, 'localStorage', { configurable: true, get });
    service.current = small(steward);
    assert.equal((await ask(STRANGER)).verdict.type, 'not_found');
    service.current = small(steward, { release: 6 });
    assert.equal(await reasonFor(), 'release_rolled_back');
  }
  await anew();
});

test('a worker that cannot be started, or does not run', async () => {
  delete globalThis.Worker;
  assert.equal(await reasonFor(), 'client_fault');
  globalThis.Worker = class {
    constructor() {
      throw new Error('SecurityError');
    }
  };
  assert.equal(await reasonFor(), 'client_fault');
  globalThis.Worker = BrowserWorker;
  const failing = 'addEventListener("message", () => { throw new Error() })';
  for (const script of ['throw new Error()', 'this is no script', failing]) {
    scripts.set('/broken.js', script);
    assert.equal(await reasonFor({ worker: '/broken.js' }), 'client_fault', script);
  }
});

test('a worker that hangs: nothing lasts for ever', async () => {
  for (const script of ['', 'addEventListener("message", () => { for (;;); })']) {
    scripts.set('/hanging.js', script);
    const { verdict, datasets } = await ask(STRANGER, { worker: '/hanging.js', timeLimit: 200 });
    assert.deepEqual(verdict, { type: 'undetermined', reason: 'timeout', retry_after: null, until: null });
    assert.deepEqual(datasets, []);
  }
});

test('the time limit of an answer reaches the worker', async () => {
  const silent = await serve(steward, service.current, () => true);
  assert.equal(await reasonFor({ base: silent.base, answerTimeLimit: 50 }), 'timeout');
  await silent.close();
});

test('trusted types: the worker must be octets that the page holds', async () => {
  const made = [];
  globalThis.location = { href: 'https://page.example/fr/', origin: 'https://page.example' };
  globalThis.trustedTypes = {
    createPolicy(name, rules) {
      made.push(name);
      return { createScriptURL: (url) => ({ trusted: rules.createScriptURL(url) }) };
    },
  };
  globalThis.Worker = class extends BrowserWorker {
    constructor({ trusted }) {
      super(trusted);
    }
  };
  const own = 'blob:https://page.example/7f';
  scripts.set(own, scripts.get('/worker.js'));
  assert.deepEqual((await ask(MEMBER, { worker: own })).verdict, EXPOSED);
  assert.deepEqual((await ask(STRANGER, { worker: own })).verdict, ABSENT);
  for (const worker of ['https://page.example/worker.js', 'blob:https://other.example/7f', 'data:text/javascript,']) {
    scripts.set(worker, scripts.get('/worker.js'));
    assert.equal(await reasonFor({ worker }), 'client_fault', worker);
  }
  assert.deepEqual(made, ['breachcheck']);
});

test('a check that is stopped is not made, and its worker is ended', async () => {
  scripts.set('/hanging.js', '');
  const controller = new AbortController();
  const { signal } = controller;
  const asked = ask(STRANGER, { worker: '/hanging.js', signal });
  controller.abort();
  assert.equal((await asked).verdict.reason, 'not_checked');
  while (alive.size > 0) await new Promise((resolve) => setTimeout(resolve, 10));
});

test('the worker\'s script: downloaded once, verified, and why there is none', async () => {
  const script = Buffer.from('postMessage(1)');
  const integrity = `sha384-${createHash('sha384').update(script).digest('base64')}`;
  let answer = (response) => response.end(script);
  const asked = [];
  const server = createServer((request, response) => {
    asked.push(request.method);
    answer(response);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${server.address().port}/worker.js`;
  const { worker } = await fetchWorker(url, integrity);
  assert.deepEqual(asked, ['GET']);
  assert.deepEqual(Buffer.from(await (await fetch(worker)).arrayBuffer()), script);
  answer = (response) => response.end('postMessage(2)');
  assert.deepEqual(await fetchWorker(url, integrity), { reason: 'client_altered' });
  answer = (response) => response.writeHead(404).end();
  assert.deepEqual(await fetchWorker(url, integrity), { reason: 'client_altered' });
  answer = () => {};
  assert.deepEqual(await fetchWorker(url, integrity, 50), { reason: 'timeout' });
  answer = (response) => response.writeHead(200, { 'content-length': 20 }).write('stalls');
  assert.deepEqual(await fetchWorker(url, integrity, 200), { reason: 'timeout' });
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  assert.deepEqual(await fetchWorker(url, integrity), { reason: 'unreachable' });
});

test('self-test: passes, and its constants are those of today\'s rules', () => {
  assert.ok(selftest());
  assert.deepEqual(JSON.parse(JSON.stringify(make())), known, 'run: node test/make_selftest.js');
});

test('self-test: a device that computes wrongly says nothing', async () => {
  const script = scripts.get('/worker.js');
  const faults = [
    ['Math.imul', '((a, b) => Math.imul(a, b) ^ 1)'], // Argon2id's multiplication
    [known.page, `${known.page.slice(0, -1)}0`],
    [known.signature, `${known.signature.slice(0, -8)}00000000`],
    ['"release_rolled_back"', '"x"'], // no fault of the self-test's business: the check goes on
  ];
  const reasons = [];
  for (const [right, wrong] of faults) {
    assert.ok(script.includes(right), right);
    scripts.set('/wrong.js', script.replaceAll(right, wrong));
    const { verdict } = await ask(MEMBER, { worker: '/wrong.js' });
    reasons.push(verdict.reason ?? verdict.type);
  }
  assert.deepEqual(reasons, ['client_fault', 'client_fault', 'client_fault', 'exposed']);
});

test('self-test: Argon2id is that of checks, second pass and all address blocks', async () => {
  const script = scripts.get('/worker.js');
  const faults = [
    [/\b\w+!==0&&\w+===19\b/, 'false'], // the second pass overwrites instead of adding
    [/\b(\w+)=(\w+)%128;\1===0/, '$1=$2%128;$2===0'], // the first 128 addresses of a segment serve for all others
  ];
  for (const [fault, instead] of faults) {
    assert.match(script, fault);
    scripts.set('/wrong.js', script.replace(fault, instead));
    assert.equal(await reasonFor({ worker: '/wrong.js' }), 'client_fault', String(fault));
  }
});
