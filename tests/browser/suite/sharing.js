// @ts-check
import { it } from 'node:test';
import { SMALL, changesPicture, drag, sessionOf, until, untilState, withPage } from './browser.js';

/** @param {import('./index.test.js').Shared} shared */
export function sharing(shared) {
    /** @param {string} id */
    const sessionState = async (id) => {
        const response = await shared.server.fetch(`/api/sessions/${id}`);
        return response.ok ? (await response.json()).state : 'gone';
    };

    it('two pages on one session’s address see the same, and either moves it for both', async () => {
        await withPage(shared.browser, `${shared.server.url}/view/orbit`, SMALL, async (one) => {
            await untilState(one, 'live');
            await withPage(shared.browser, one.url(), SMALL, async (other) => {
                await untilState(other, 'live');
                await changesPicture(one, 'a drag on the first page', () => drag(one, { x: 320, y: 200 }, { x: 440, y: 220 }), other);
                await changesPicture(other, 'a drag on the second page', () => drag(other, { x: 320, y: 200 }, { x: 180, y: 210 }), one);
            });
            // One of two has left: the session goes on for the other.
            await changesPicture(one, 'a drag after the other left', () => drag(one, { x: 320, y: 200 }, { x: 440, y: 220 }));
        });
    });

    it('leaving ends the session and its worker after the grace period, coming back in time keeps it', async () => {
        const { url, id } = await withPage(shared.browser, `${shared.server.url}/view/orbit`, SMALL, async (page) => {
            await untilState(page, 'live');
            await page.reload();
            await untilState(page, 'live');
            return { url: page.url(), id: sessionOf(page) };
        });
        await withPage(shared.browser, url, SMALL, (page) => untilState(page, 'live'));
        await until('the session ends', async () => ['ended', 'gone'].includes(await sessionState(id)));
        await until('its worker ends', () => shared.server.workers().length === 0);
    });
}
