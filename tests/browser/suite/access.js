// @ts-check
/** A server that asks who one is: tokens in the gallery, links to sessions, and what they may not do. */
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import {
    DESKTOP, MOVED_LEVELS, PHONE, SMALL, changesPicture, difference, drag, pause, picture, screenshot, sessionOf, stillPicture, untilState,
    withPage,
} from './browser.js';
import { servePlayers } from './players.js';
import { startServer } from './server.js';
import { untilListed } from './uploading.js';

const ADMIN = 'an-admins-secret-0123456789';
const AUTHOR = 'an-authors-secret-0123456789';
const VIEWER = 'a-viewers-secret-0123456789';

/** @typedef {import('playwright-core').Page} Page */

/** What the browser itself says of an answer that the page expects. */
const REFUSED = [/status of 40[13]/];

/** @param {import('./index.test.js').Shared} shared */
export function access(shared) {
    const ours = /** @type {{ server: import('./server.js').Server }} */ ({});
    const url = () => ours.server.url;
    const bearer = (/** @type {string} */ token) => ({ Authorization: `Bearer ${token}` });

    before(async () => {
        ours.server = await startServer(['--auth-token', `ada:admin:${ADMIN},bo:author:${AUTHOR},vi:viewer:${VIEWER}`]);
    });

    after(async () => {
        await ours.server?.stop();
    });

    /**
     * @param {Page} page
     * @param {string} token
     */
    const signIn = async (page, token) => {
        await page.fill('#token', token);
        await page.click('#sign-in-button');
    };

    /**
     * A live session of somebody who may steer it.
     *
     * @param {(page: Page) => Promise<void>} use
     */
    const withOwner = (use) => {
        const options = { ...SMALL, permissions: ['clipboard-read', 'clipboard-write'] };
        return withPage(shared.browser, `${url()}/view/orbit`, options, async (page) => {
            await untilState(page, 'ended');
            await signIn(page, AUTHOR);
            await untilState(page, 'live');
            await use(page);
        }, REFUSED);
    };

    /**
     * @param {Page} page
     * @param {'watch' | 'control'} kind
     */
    const copyLink = async (page, kind) => {
        if (!(await page.locator('#share').isVisible())) await page.click('#share-button');
        await page.click(`#share-${kind}`);
        await page.waitForSelector(`#share-${kind}:text("Copied")`);
        return page.evaluate(() => navigator.clipboard.readText());
    };

    it('the gallery asks for a token, says when it is wrong, keeps it for the tab, and forgets it on request', async () => {
        for (const [device, options] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
            await withPage(shared.browser, url(), options, async (page) => {
                await page.waitForSelector('#sign-in:not([hidden])');
                assert.equal(await page.locator('#add').isVisible(), false);
                await signIn(page, 'a-secret-that-is-none-of-these');
                await page.waitForSelector('#sign-in-wrong:not(:empty)');
                await screenshot(page, `gallery-sign-in-${device}`);
                await signIn(page, AUTHOR);
                await page.waitForSelector('#scenes li');
                assert.equal(await page.locator('#add').isVisible(), true);
                assert.match(await page.locator('#account').innerText(), /bo · author/);
                await screenshot(page, `gallery-author-${device}`);
                await page.reload();
                await page.waitForSelector('#scenes li');
                assert.equal(await page.evaluate(() => localStorage.length + document.cookie.length), 0, 'nothing outlives the tab');
                await page.click('#sign-out');
                await page.waitForSelector('#sign-in:not([hidden])');
                assert.equal(await page.locator('#scenes li').count(), 0);
            }, REFUSED);
        }
    });

    it('who may only watch is offered nothing else', async () => {
        await withPage(shared.browser, url(), DESKTOP, async (page) => {
            await page.waitForSelector('#sign-in:not([hidden])');
            await signIn(page, VIEWER);
            await page.waitForSelector('#scenes li');
            await untilListed(page);
            assert.equal(await page.locator('#add').isVisible(), false);
            assert.equal(await page.locator('#watch-only').isVisible(), true);
            assert.equal(await page.locator('#scenes .remove').count(), 0);
            await screenshot(page, 'gallery-viewer');
        }, REFUSED);
    });

    it('a watch link shows the session and steers nothing, a control link steers', async () => {
        await withOwner(async (owner) => {
            await owner.click('#share-button');
            await screenshot(owner, 'viewer-share');
            const watch = await copyLink(owner, 'watch');
            const control = await copyLink(owner, 'control');
            await withPage(shared.browser, watch, SMALL, async (watching) => {
                await untilState(watching, 'live');
                assert.equal(new URL(watching.url()).hash, '', 'an address that is copied gives nothing away');
                await watching.waitForSelector('#watching:not([hidden])');
                const before = await stillPicture(watching);
                await drag(watching, { x: 320, y: 200 }, { x: 460, y: 230 });
                await pause(500);
                assert.ok(difference(before, await picture(watching)) < MOVED_LEVELS, 'a drag turns nothing');
                await screenshot(watching, 'viewer-watching');
                await withPage(shared.browser, control, SMALL, async (steering) => {
                    await untilState(steering, 'live');
                    assert.equal(await steering.locator('#watching').isVisible(), false);
                    await changesPicture(steering, 'a drag', () => drag(steering, { x: 320, y: 200 }, { x: 440, y: 220 }), watching);
                });
                await watching.reload();
                await untilState(watching, 'live');
            });
        });
    });

    it('a link that is revoked ends the page of who came by it with words, and does not open again', async () => {
        await withOwner(async (owner) => {
            const session = sessionOf(owner);
            const response = await ours.server.fetch(`/api/sessions/${session}/grants`, {
                method: 'POST',
                headers: { ...bearer(AUTHOR), 'Content-Type': 'application/json' },
                body: JSON.stringify({ role: 'viewer' }),
            });
            assert.equal(response.status, 201);
            const grant = await response.json();
            const link = url() + grant.view;
            await withPage(shared.browser, link, SMALL, async (watching) => {
                await untilState(watching, 'live');
                const revoked = await ours.server.fetch(`/api/sessions/${session}/grants/${grant.id}`, { method: 'DELETE', headers: bearer(AUTHOR) });
                assert.equal(revoked.status, 204);
                await untilState(watching, 'ended');
                assert.equal(await watching.locator('#ended').getAttribute('data-code'), 'revoked');
                await screenshot(watching, 'viewer-revoked');
                assert.equal(await watching.locator('#ended .button:visible').count(), 0, 'there is nothing to try again');
            }, REFUSED);
            await withPage(shared.browser, link, SMALL, async (late) => {
                await untilState(late, 'ended');
                assert.match(await late.locator('#ended').innerText(), /This link is over/);
            }, REFUSED);
            assert.equal(await owner.evaluate(() => document.body.dataset.state), 'live', 'it goes on for its owner');
        });
    });

    it('who has made links can take them back on the page', async () => {
        await withOwner(async (owner) => {
            await owner.click('#share-button');
            assert.equal(await owner.locator('#share-revoke').isVisible(), false);
            const watch = await copyLink(owner, 'watch');
            await withPage(shared.browser, watch, SMALL, async (watching) => {
                await untilState(watching, 'live');
                await screenshot(owner, 'viewer-share-made');
                await owner.click('#share-revoke');
                await untilState(watching, 'ended');
                assert.equal(await watching.locator('#ended').getAttribute('data-code'), 'revoked');
                await owner.waitForSelector('#share-note:text("They open nothing any more.")');
                assert.equal(await owner.locator('#share-revoke').isVisible(), false);
            }, REFUSED);
            assert.equal(await owner.evaluate(() => document.body.dataset.state), 'live', 'it goes on for its owner');
        });
    });

    it('row 40: a page of another origin cannot POST, with a token or on a server that asks for none', async () => {
        const foreign = await servePlayers();
        try {
            for (const { server, token } of [{ server: shared.server, token: null }, { server: ours.server, token: ADMIN }]) {
                const headers = token === null ? {} : bearer(token);
                const ids = async () => {
                    const lists = await Promise.all(['/api/sessions', '/api/scenes'].map(async (where) => (await server.fetch(where, { headers })).json()));
                    return lists.flat().map((/** @type {{ id: string }} */ { id }) => id);
                };
                const before = await ids();
                await withPage(shared.browser, foreign.origin, SMALL, async (page) => {
                    const answers = await page.evaluate(async ([target, authorization]) => {
                        const session = JSON.stringify({ scene: 'orbit' });
                        const component = new Uint8Array([0, 0x61, 0x73, 0x6d, 0x0d, 0, 1, 0]);
                        /** Everything that a page can send without being asked first, and what it can try. @type {[string, RequestInit][]} */
                        const tries = [
                            ['/api/sessions', { mode: 'no-cors', body: session }],
                            ['/api/sessions', { mode: 'no-cors', body: session, headers: { 'Content-Type': 'text/plain' } }],
                            ['/api/sessions', { mode: 'cors', body: session, headers: { 'Content-Type': 'application/json' } }],
                            ['/api/sessions', { mode: 'cors', body: session, headers: { 'Content-Type': 'application/json', Authorization: String(authorization) } }],
                            ['/api/scenes?name=foreign', { mode: 'no-cors', body: new Blob([component], { type: 'text/plain' }) }],
                            ['/api/scenes?name=foreign', { mode: 'cors', body: component, headers: { 'Content-Type': 'application/wasm' } }],
                        ];
                        const results = [];
                        for (const [where, init] of tries) {
                            const response = await fetch(target + where, { ...init, method: 'POST', credentials: 'include' }).catch(() => null);
                            results.push(response === null ? 'refused' : response.type === 'opaque' ? 'opaque' : `readable ${response.status}`);
                        }
                        const form = document.createElement('form');
                        const frame = document.createElement('iframe');
                        frame.name = 'target';
                        Object.assign(form, { method: 'post', action: `${target}/api/sessions`, enctype: 'text/plain', target: 'target' });
                        document.body.append(frame, form);
                        form.submit();
                        await new Promise((resolve) => setTimeout(resolve, 1_000));
                        return results;
                    }, [server.url, token === null ? '' : `Bearer ${token}`]);
                    assert.ok(answers.every((answer) => !answer.startsWith('readable')), `no answer can be read: ${answers}`);
                }, [/./]);
                assert.deepEqual((await ids()).filter((id) => !before.includes(id)), [], 'nothing was made');
            }
        } finally {
            await foreign.stop();
        }
    });
}
