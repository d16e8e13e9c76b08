// @ts-check
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { DESKTOP, PHONE, screenshot, untilState, withPage } from './browser.js';

/** @param {import('./index.test.js').Shared} shared */
export function gallery(shared) {
    it('the gallery lists the server’s scenes, on a desk and on a phone, in the light and in the dark', async () => {
        const scenes = await (await shared.server.fetch('/api/scenes')).json();
        assert.ok(scenes.length >= 2, 'the scenes that come with the project are there');
        for (const [device, options] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
            for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
                await withPage(shared.browser, shared.server.url, { ...options, colorScheme }, async (page) => {
                    await page.waitForSelector('#gallery[aria-busy="false"]');
                    const names = await page.locator('#scenes h2').allInnerTexts();
                    assert.deepEqual(names, scenes.map((/** @type {{ name: string }} */ { name }) => name));
                    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
                    assert.ok(overflow <= 0, `nothing is wider than the ${device}, but something is by ${overflow} px`);
                    await screenshot(page, `gallery-${device}-${colorScheme}`);
                });
            }
        }
    });

    it('a scene can be opened with the keyboard alone', async () => {
        await withPage(shared.browser, shared.server.url, DESKTOP, async (page) => {
            await page.waitForSelector('#gallery[aria-busy="false"]');
            const onScene = () => page.evaluate(() => document.activeElement?.matches('#scenes a') ?? false);
            for (let stop = 0; stop < 5 && !(await onScene()); stop += 1) await page.keyboard.press('Tab');
            await page.keyboard.press('Enter');
            await page.waitForURL('**/view/**');
            await untilState(page, 'live');
        });
    });
}
