// @ts-check
/** What `scenecast render` writes for browsers: its report, and MP4 files. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { it } from 'node:test';
import { pathToFileURL } from 'node:url';
import { DESKTOP, screenshot, until, withPage } from './browser.js';
import { BINARY, SCENES } from './server.js';

const TRIANGLE = path.join(SCENES, 'triangle.wasm');

/** @param {(folder: string) => Promise<void>} use */
async function withFolder(use) {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'scenecast-headless-'));
    try {
        await use(folder);
    } finally {
        rmSync(folder, { recursive: true });
    }
}

/** @param {import('./index.test.js').Shared} shared */
export function headless(shared) {
    it('a report shows every frame beside what was expected, and wipes between the two', () => withFolder(async (folder) => {
        const goldens = path.join(folder, 'goldens');
        const report = path.join(folder, 'report.html');
        const render = ['render', TRIANGLE, '--size', '640x360', '--frames', '0,1,40', '--compare', goldens];
        execFileSync(BINARY, [...render, '--update'], { stdio: 'ignore' });
        // The picture of another frame, and none.
        writeFileSync(path.join(goldens, '1.png'), readFileSync(path.join(goldens, '40.png')));
        rmSync(path.join(goldens, '40.png'));
        assert.equal(spawnSync(BINARY, [...render, '--report', report], { stdio: 'ignore' }).status, 1);

        for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
            await withPage(shared.browser, pathToFileURL(report).href, { ...DESKTOP, colorScheme }, async (page) => {
                assert.match(await page.locator('.verdict').innerText(), /^2 of 3 frames do not match$/);
                assert.equal(await page.locator('.frame').count(), 3);
                assert.deepEqual(
                    await page.locator('#frame-1 figcaption').allInnerTexts(),
                    ['expected', 'actual', 'difference'],
                );
                assert.deepEqual(await page.locator('#frame-40 figcaption').allInnerTexts(), ['actual']);
                const sizes = await page.locator('#frame-1 figure img').evaluateAll((images) =>
                    images.map((image) => /** @type {HTMLImageElement} */ (image).naturalWidth));
                assert.deepEqual(sizes, [640, 640, 640]);
                await screenshot(page, `report-${colorScheme}`);
                const slider = page.locator('#frame-1 input');
                await slider.fill('20');
                const place = await page.locator('#frame-1 .wipe').evaluate((wipe) =>
                    getComputedStyle(/** @type {Element} */ (wipe.lastElementChild)).clipPath);
                assert.match(place, /20%/);
                const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
                assert.ok(overflow <= 0, 'nothing is wider than the window');
                await slider.scrollIntoViewIfNeeded();
                await screenshot(page, `report-wipe-${colorScheme}`);
            });
        }
    }));

    it('an MP4 file plays, at the length of its frames', () => withFolder(async (folder) => {
        execFileSync(
            BINARY,
            ['render', TRIANGLE, '--size', '320x180', '--frames', '0..45', '--out', folder, '--format', 'mp4'],
            { stdio: 'ignore' },
        );
        const page = path.join(folder, 'page.html');
        writeFileSync(page, '<!doctype html><video muted src="triangle.mp4"></video>');
        await withPage(shared.browser, pathToFileURL(page).href, DESKTOP, async (page) => {
            const video = page.locator('video');
            const facts = () => video.evaluate((element) => {
                const { duration, videoWidth, videoHeight, ended, error } = /** @type {HTMLVideoElement} */ (element);
                return { duration, videoWidth, videoHeight, ended, error: error?.message };
            });
            await video.evaluate((element) => /** @type {HTMLVideoElement} */ (element).play());
            await until('the video ends', async () => (await facts()).ended);
            const { duration, videoWidth, videoHeight, error } = await facts();
            assert.deepEqual([videoWidth, videoHeight, error], [320, 180, undefined]);
            assert.ok(Math.abs(duration - 1.5) < 0.05, `45 frames at 30 Hz took ${duration} s`);
        });
    }));
}
