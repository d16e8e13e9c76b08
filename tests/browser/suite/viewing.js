// @ts-check
import assert from 'node:assert/strict';
import { it } from 'node:test';
import {
    DESKTOP, MOVED_LEVELS, PHONE, SMALL, changesPicture, difference, drag, pause, picture, pictureSize, screenshot, sessionOf,
    stillPicture, until, untilState, withPage,
} from './browser.js';

/** @param {import('./index.test.js').Shared} shared */
export function viewing(shared) {
    const orbit = () => `${shared.server.url}/view/orbit`;

    it('a scene’s address becomes the address of its session, and the picture is live', async () => {
        await withPage(shared.browser, orbit(), DESKTOP, async (page) => {
            await untilState(page, 'live');
            const session = await (await shared.server.fetch(`/api/sessions/${sessionOf(page)}`)).json();
            assert.equal(session.scene, 'orbit');
            assert.equal(new URL(page.url()).pathname, session.view);
            const colours = new Set(await stillPicture(page));
            assert.ok(colours.size > 20, `a lit scene has many shades, this picture has ${colours.size}`);
            await screenshot(page, 'viewer');
        });
    });

    it('a drag turns the scene', async () => {
        await withPage(shared.browser, orbit(), SMALL, async (page) => {
            await untilState(page, 'live');
            await changesPicture(page, 'a drag', () => drag(page, { x: 320, y: 200 }, { x: 460, y: 230 }));
        });
    });

    it('the wheel zooms', async () => {
        await withPage(shared.browser, orbit(), SMALL, async (page) => {
            await untilState(page, 'live');
            await page.mouse.move(320, 200);
            await changesPicture(page, 'the wheel', async () => {
                for (let notch = 0; notch < 4; notch += 1) await page.mouse.wheel(0, -120);
            });
        });
    });

    it('keys act', async () => {
        await withPage(shared.browser, orbit(), SMALL, async (page) => {
            await untilState(page, 'live');
            await changesPicture(page, 'an arrow key', async () => {
                await page.keyboard.down('ArrowLeft');
                await pause(400);
                await page.keyboard.up('ArrowLeft');
            });
        });
    });

    it('a finger turns the scene, two fingers zoom it, and the page itself stays where it is', async () => {
        await withPage(shared.browser, orbit(), PHONE, async (page) => {
            await untilState(page, 'live');
            const devtools = await page.context().newCDPSession(page);
            /** @param {string} type @param {{ x: number, y: number, id: number }[]} touchPoints */
            const touch = (type, touchPoints) => devtools.send('Input.dispatchTouchEvent', { type: /** @type {any} */ (type), touchPoints });
            await changesPicture(page, 'a finger', async () => {
                await touch('touchStart', [{ x: 120, y: 500, id: 1 }]);
                for (let step = 1; step <= 8; step += 1) {
                    await touch('touchMove', [{ x: 120 + 18 * step, y: 500 + 4 * step, id: 1 }]);
                    await pause(16);
                }
                await touch('touchEnd', []);
            });
            await changesPicture(page, 'a pinch', async () => {
                const fingers = (/** @type {number} */ apart) => [{ x: 195 - apart, y: 500, id: 1 }, { x: 195 + apart, y: 500, id: 2 }];
                await touch('touchStart', fingers(30));
                for (let step = 1; step <= 10; step += 1) {
                    await touch('touchMove', fingers(30 + 12 * step));
                    await pause(16);
                }
                await touch('touchEnd', []);
            });
            const view = await page.evaluate(() => ({ scroll: scrollY, scale: visualViewport?.scale }));
            assert.deepEqual(view, { scroll: 0, scale: 1 });
            await screenshot(page, 'viewer-phone');
        });
    });

    it('the stream follows the window’s size', async () => {
        await withPage(shared.browser, orbit(), SMALL, async (page) => {
            await untilState(page, 'live');
            for (const viewport of [{ width: 480, height: 480 }, { width: 800, height: 300 }]) {
                await page.setViewportSize(viewport);
                await until(`the picture has the shape of ${viewport.width} × ${viewport.height}`, async () => {
                    const { width, height } = await pictureSize(page);
                    // Snapped down by less than 64 pixels a side, never larger than the window.
                    const isNear = (/** @type {number} */ side, /** @type {number} */ place) => side <= place && side > place - 64;
                    return isNear(width, viewport.width) && isNear(height, viewport.height);
                });
            }
        });
    });

    it('a press beside the picture is not the scene’s', async () => {
        await withPage(shared.browser, orbit(), SMALL, async (page) => {
            await untilState(page, 'live');
            // A second page of another shape shows the same picture with bars above and below.
            await withPage(shared.browser, page.url(), { viewport: { width: 640, height: 800 } }, async (tall) => {
                await untilState(tall, 'live');
                const before = await stillPicture(tall);
                await drag(tall, { x: 200, y: 60 }, { x: 440, y: 60 });
                await pause(500);
                assert.ok(difference(before, await picture(tall)) < MOVED_LEVELS, 'a drag in the bar turns nothing');
                await changesPicture(tall, 'a drag on the picture', () => drag(tall, { x: 200, y: 400 }, { x: 440, y: 420 }));
            });
        });
    });

    it('what is pressed is released when the page loses the focus', async () => {
        await withPage(shared.browser, orbit(), SMALL, async (page) => {
            await untilState(page, 'live');
            await page.mouse.move(320, 200);
            await page.mouse.down();
            await changesPicture(page, 'a drag', async () => {
                await page.mouse.move(360, 210);
                await page.mouse.move(420, 220);
            });
            // The button is still down when the keyboard leads to the toolbar.
            await page.keyboard.press('Tab');
            const before = await stillPicture(page);
            await page.mouse.move(250, 180);
            await page.mouse.move(200, 170);
            await pause(500);
            assert.ok(difference(before, await picture(page)) < MOVED_LEVELS, 'the scene was let go');
            await page.mouse.up();
        });
    });

    it('a key that is held when the page is left does not go on acting', async () => {
        await withPage(shared.browser, orbit(), SMALL, async (watching) => {
            await untilState(watching, 'live');
            await withPage(shared.browser, watching.url(), SMALL, async (acting) => {
                await untilState(acting, 'live');
                await changesPicture(acting, 'an arrow key', () => acting.keyboard.down('ArrowRight'), watching);
                await acting.goto('about:blank');
                await stillPicture(watching);
            });
        });
    });

    it('a scene that does not exist is said so, with a way back', async () => {
        const context = await shared.browser.newContext(SMALL);
        const page = await context.newPage();
        await page.goto(`${shared.server.url}/view/no-such-scene`);
        await untilState(page, 'ended');
        assert.equal(await page.locator('#ended').getAttribute('data-code'), 'unknown_scene');
        assert.equal(await page.locator('#again').isVisible(), false);
        await page.click('#ended-back');
        await page.waitForSelector('#scenes li');
        await context.close();
    });
}
