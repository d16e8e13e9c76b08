// @ts-check
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { SMALL, changesPicture, drag, screenshot, sessionOf, until, untilState, withPage } from './browser.js';
import { startServer } from './server.js';

/** @param {import('./index.test.js').Shared} shared */
export function endings(shared) {
    const orbit = () => `${shared.server.url}/view/orbit`;

    it('a worker that is killed ends its own session with a reason and a way on, and nobody else’s', async () => {
        await until('no worker is left of earlier tests', () => shared.server.workers().length === 0);
        await withPage(shared.browser, orbit(), SMALL, async (bystander) => {
            await untilState(bystander, 'live');
            const others = shared.server.workers();
            await withPage(shared.browser, orbit(), SMALL, async (page) => {
                await untilState(page, 'live');
                const first = sessionOf(page);
                const own = shared.server.workers().filter((pid) => !others.includes(pid));
                assert.equal(own.length, 1, 'one worker for one session');
                process.kill(Number(own[0]), 'SIGKILL');
                await untilState(page, 'ended');
                assert.equal(await page.locator('#ended').getAttribute('data-code'), 'worker_died');
                assert.match(await page.locator('#ended-detail').innerText(), /SIGKILL|signal: 9|signal 9/);
                await screenshot(page, 'viewer-ended');
                await changesPicture(bystander, 'a drag on the other session', () => drag(bystander, { x: 320, y: 200 }, { x: 440, y: 220 }));
                await page.click('#again');
                await untilState(page, 'live');
                assert.notEqual(sessionOf(page), first);
                await changesPicture(page, 'a drag on the new session', () => drag(page, { x: 320, y: 200 }, { x: 440, y: 220 }));
            });
            assert.equal(await bystander.evaluate(() => document.body.dataset.state), 'live');
        });
    });

    it('a server that shuts down says so while the picture still runs, and then as the reason', async () => {
        const server = await startServer(['--drain-seconds', '3']);
        try {
            await withPage(shared.browser, `${server.url}/view/orbit`, SMALL, async (page) => {
                await untilState(page, 'live');
                const stopped = server.stop();
                await page.waitForSelector('#warning:not([hidden])');
                assert.equal(await page.evaluate(() => document.body.dataset.state), 'live');
                await screenshot(page, 'viewer-draining');
                await untilState(page, 'ended');
                assert.equal(await page.locator('#ended').getAttribute('data-code'), 'draining');
                assert.equal(await stopped, 0, server.log());
            });
        } finally {
            await server.stop();
        }
    });

    it('a full server is asked again by itself, visibly, and the session begins when there is room', async () => {
        const server = await startServer(['--max-sessions', '1']);
        try {
            await withPage(shared.browser, `${server.url}/view/orbit`, SMALL, async (first) => {
                await untilState(first, 'live');
                await withPage(shared.browser, `${server.url}/view/orbit`, SMALL, async (second) => {
                    await second.waitForSelector('#notice:text("The server is busy. Trying again in")');
                    await screenshot(second, 'viewer-busy');
                    const ended = await server.fetch(`/api/sessions/${sessionOf(first)}`, { method: 'DELETE' });
                    assert.equal(ended.status, 204);
                    await untilState(second, 'live');
                }, [/status of 503/]);
            });
        } finally {
            await server.stop();
        }
    });

    it('a session that is ended over the API says so to its viewers', async () => {
        await withPage(shared.browser, orbit(), SMALL, async (page) => {
            await untilState(page, 'live');
            const response = await shared.server.fetch(`/api/sessions/${sessionOf(page)}`, { method: 'DELETE' });
            assert.equal(response.status, 204);
            await untilState(page, 'ended');
            assert.equal(await page.locator('#ended').getAttribute('data-code'), 'deleted');
            assert.equal(await page.locator('#again').innerText(), 'Start again');
        });
    });
}
