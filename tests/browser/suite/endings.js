// @ts-check
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { SMALL, changesPicture, drag, screenshot, sessionOf, until, untilState, withPage } from './browser.js';

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
