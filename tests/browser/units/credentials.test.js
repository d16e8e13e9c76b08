// @ts-check
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

/** The storage of a tab. @type {Map<string, string>} */
const stored = new Map();
Object.assign(globalThis, {
    sessionStorage: {
        getItem: (/** @type {string} */ key) => stored.get(key) ?? null,
        setItem: (/** @type {string} */ key, /** @type {string} */ value) => void stored.set(key, value),
        removeItem: (/** @type {string} */ key) => void stored.delete(key),
    },
});

/** A page of its own each time. */
let pages = 0;
/** @returns {Promise<typeof import('../../../web-client/credentials.js')>} */
const newPage = () => import(`../../../web-client/credentials.js?page=${++pages}`);

beforeEach(() => stored.clear());

test('nobody is a bearer without a token', async () => {
    assert.deepEqual((await newPage()).authorization(), {});
});

test('a token goes with every request until it is forgotten, and outlives a reload', async () => {
    assert.equal((await newPage()).setToken('  s3cret.token-~+/=  '), true);
    const page = await newPage();
    assert.deepEqual(page.authorization(), { Authorization: 'Bearer s3cret.token-~+/=' });
    page.forgetToken();
    assert.deepEqual(page.authorization(), {});
    assert.equal(stored.size, 0);
});

test('what cannot be a token is not one, and no header is made of it', async () => {
    const page = await newPage();
    for (const text of ['', ' ', 'two words', 'line\r\nX-Injected: 1', 'ümlaut', 'x'.repeat(5_000)]) {
        assert.equal(page.setToken(text), false, JSON.stringify(text));
    }
    assert.deepEqual(page.authorization(), {});
});

test('a grant of an address is taken for its session, before a token, and outlives a reload without it', async () => {
    const first = await newPage();
    first.setToken('token');
    assert.equal(first.takeGrant('#grant=aa.bb.cc', 's1'), true);
    assert.deepEqual(first.authorization(), { Authorization: 'Bearer aa.bb.cc' });
    const reloaded = await newPage();
    assert.equal(reloaded.takeGrant('', 's1'), false);
    assert.deepEqual(reloaded.authorization(), { Authorization: 'Bearer aa.bb.cc' });
    reloaded.dropGrant();
    assert.deepEqual(reloaded.authorization(), { Authorization: 'Bearer token' });
});

test('a grant of one session is not used for another', async () => {
    (await newPage()).takeGrant('#grant=aa.bb.cc', 's1');
    const page = await newPage();
    page.takeGrant('', 's2');
    assert.deepEqual(page.authorization(), {});
    assert.equal(page.hasGrant(), false);
});

test('an address whose grant is none has it taken away all the same', async () => {
    const page = await newPage();
    assert.equal(page.takeGrant('#grant=%0d%0a', 's1'), true);
    assert.equal(page.hasGrant(), false);
    assert.equal(page.takeGrant('#figures', 's1'), false);
});
