/** Serves a release that JavaScript sealed, until its standard input ends. Writes how to check it, and what is true. */

import { ABSENT, EXPOSED, MEMBER, STRANGER, Steward, serve, small } from './simulator.js';

const steward = new Steward();
const { base, close } = await serve(steward, small(steward));
const truth = [[MEMBER, EXPOSED], [STRANGER, ABSENT]];
console.log(JSON.stringify({ base, publisher_key: steward.publisherKey, kind: 'phone', truth }));
for await (const _ of process.stdin);
await close();
