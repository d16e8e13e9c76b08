// @ts-check
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { DESKTOP, drag, pause, pictureSize, screenshot, until, untilState, withPage } from './browser.js';

/** @param {import('./index.test.js').Shared} shared */
export function overlay(shared) {
    it('F2 and a button show the figures, and every figure comes', async () => {
        await withPage(shared.browser, `${shared.server.url}/view/orbit`, DESKTOP, async (page) => {
            await untilState(page, 'live');
            assert.equal(await page.locator('#figures').isVisible(), false);
            await page.keyboard.press('F2');
            const figures = page.locator('#figures [data-figure]');
            const read = async () => Object.fromEntries(
                await figures.evaluateAll((all) => all.map((one) => [one.getAttribute('data-figure'), one.textContent])),
            );
            let shown = await read();
            await until(`every figure is known; it is ${JSON.stringify(shown)}`, async () => {
                await drag(page, { x: 700, y: 400 }, { x: 760, y: 420 });
                shown = await read();
                return Object.values(shown).every((text) => text !== '–');
            });
            assert.deepEqual(Object.keys(shown), [
                'fps', 'resolution', 'bitrate', 'round-trip', 'decode', 'dropped', 'send-to-presentation', 'click-to-pixel', 'server',
            ]);
            const { width, height } = await pictureSize(page);
            assert.equal(shown.resolution, `${width} × ${height}`);
            assert.match(shown.bitrate ?? '', /^\d+(\.\d)? [kM]b\/s$/);
            for (const name of ['round-trip', 'decode']) assert.match(shown[name] ?? '', /^\d+\.\d ms$/, name);
            for (const name of ['send-to-presentation', 'click-to-pixel']) {
                assert.match(shown[name] ?? '', /^-?\d+\.\d ms \(p95 -?\d+\.\d\)$/, name);
            }
            await screenshot(page, 'viewer-figures');
            await page.click('#figures-button');
            assert.equal(await page.locator('#figures').isVisible(), false);
        });
    });

    it('the buttons get out of the way, and come back when they are looked for', async () => {
        await withPage(shared.browser, `${shared.server.url}/view/orbit`, DESKTOP, async (page) => {
            await untilState(page, 'live');
            await page.mouse.move(700, 400);
            const opacity = () => page.locator('#toolbar').evaluate((toolbar) => Number(getComputedStyle(toolbar).opacity));
            await until('the toolbar is gone', async () => (await opacity()) === 0);
            await page.mouse.move(710, 410);
            await until('the toolbar is back', async () => (await opacity()) === 1);
            await page.keyboard.press('Tab');
            await pause(3_000);
            assert.equal(await opacity(), 1, 'it stays while the keyboard is on it');
        });
    });
}
