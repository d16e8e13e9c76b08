// @ts-check
/** The gallery's other half: adding scenes, good and bad ones, and taking them away. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import { DESKTOP, PHONE, SMALL, picture, screenshot, until, untilState, withPage } from './browser.js';
import { SCENES } from './server.js';

/** @typedef {import('playwright-core').Page} Page */
/** @typedef {{ name: string, mimeType: string, buffer: Buffer }} File */

/** @param {string} name @param {Buffer} buffer @returns {File} */
const file = (name, buffer) => ({ name, mimeType: '', buffer });
/** @param {string} name @param {string} [as] */
const scene = (name, as = `${path.basename(name)}.wasm`) => file(as, readFileSync(path.join(SCENES, `${name}.wasm`)));

/** Above what the server takes for a connection that is held up on purpose. */
const SLOW_BYTES_PER_SECOND = 100_000;
const TEXT = file('notes.wasm', Buffer.from('This is a text, whatever its name says.'));
const CORE_MODULE = file('core.wasm', Buffer.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]));
const FORBIDDEN_IMPORT = file('forbidden.wasm', componentThatImports('wasi:http/types@0.2.0'));

/**
 * The smallest component with an import: an empty instance.
 *
 * @param {string} name
 */
function componentThatImports(name) {
    const preamble = [0, 0x61, 0x73, 0x6d, 0x0d, 0, 1, 0];
    const instanceType = [7, 3, 1, 0x42, 0];
    const described = [1, 0, name.length, ...Buffer.from(name), 5, 0];
    return Buffer.from([...preamble, ...instanceType, 10, described.length, ...described]);
}

/** @param {Page} page */
export async function untilListed(page) {
    await page.waitForSelector('#gallery[aria-busy="false"]');
}

/**
 * @param {Page} page
 * @param {string} name
 */
const upload = (page, name) => page.locator('.upload', { has: page.locator('.upload-name', { hasText: new RegExp(`^${name}$`) }) });
/**
 * @param {Page} page
 * @param {string} name
 */
const card = (page, name) => page.locator('#scenes li', { has: page.locator('h2', { hasText: new RegExp(`^${name}$`) }) });

/**
 * Files that come from another window.
 *
 * @param {Page} page
 * @param {File[]} files
 */
async function drop(page, files) {
    const data = files.map(({ name, buffer }) => ({ name, base64: buffer.toString('base64') }));
    await page.evaluate((dropped) => {
        const dataTransfer = new DataTransfer();
        for (const { name, base64 } of dropped) {
            dataTransfer.items.add(new File([Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))], name));
        }
        for (const type of ['dragover', 'drop']) {
            document.body.dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }));
        }
    }, data);
}

/** @param {import('./index.test.js').Shared} shared */
export function uploading(shared) {
    const gallery = () => shared.server.url;
    const scenes = async () => /** @type {{ id: string, name: string, owned: boolean }[]} */ (await (await shared.server.fetch('/api/scenes')).json());
    const withoutUploads = async () => {
        for (const { id, owned } of await scenes()) if (owned) await shared.server.fetch(`/api/scenes/${id}`, { method: 'DELETE' });
    };

    it('a scene that is dropped on the gallery is checked, gets its picture, and can be watched', async () => {
        await withPage(shared.browser, gallery(), DESKTOP, async (page) => {
            await untilListed(page);
            await drop(page, [scene('triangle', 'My triangle.wasm')]);
            const added = upload(page, 'My triangle');
            await added.locator('text=It can be run here.').waitFor();
            assert.match(await added.innerText(), /It uses .*WebGPU/);
            await added.locator('summary').click();
            assert.match(await added.locator('details').innerText(), /wasi:webgpu\/webgpu@/);
            await added.locator('.picture img').waitFor();
            await screenshot(page, 'gallery-uploaded');
            await card(page, 'My triangle').locator('.picture img').waitFor();
            await added.locator('a', { hasText: 'Watch' }).click();
            await untilState(page, 'live');
            assert.equal(await page.locator('#scene').innerText(), 'My triangle');
            await until('the triangle is in the picture', async () => new Set(await picture(page)).size > 20);
        });
        await withoutUploads();
    });

    it('several files become scenes one after the other, and each that cannot says why in words', async () => {
        for (const [device, options] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
            for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
                await withPage(shared.browser, gallery(), { ...options, colorScheme }, async (page) => {
                    await untilListed(page);
                    await page.setInputFiles('#files', [TEXT, CORE_MODULE, FORBIDDEN_IMPORT, scene('triangle', 'good.wasm')]);
                    await upload(page, 'good').locator('a', { hasText: 'Watch' }).waitFor();
                    for (const [name, code, words] of /** @type {const} */ ([
                        ['notes', 'scene_not_wasm', /This is not WebAssembly[^]*not WebAssembly/],
                        ['core', 'scene_core_module', /a scene is a component[^]*wasm-tools component new[^]*core WebAssembly module/],
                        ['forbidden', 'scene_import_not_offered', /It needs wasi:http\/types@0\.2\.0[^]*not offered here/],
                    ])) {
                        assert.equal(await upload(page, name).getAttribute('data-code'), code);
                        assert.match(await upload(page, name).innerText(), words);
                    }
                    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
                    assert.ok(overflow <= 0, `nothing is wider than the ${device}, but something is by ${overflow} px`);
                    await screenshot(page, `gallery-uploads-${device}-${colorScheme}`);
                    await upload(page, 'core').locator('button').click();
                    assert.equal(await upload(page, 'core').count(), 0);
                }, [/status of 422/]);
                const names = (await scenes()).filter(({ owned }) => owned).map(({ name }) => name);
                assert.deepEqual(names, ['good'], 'what was refused is not kept, and the same file twice is one scene');
            }
        }
        await withoutUploads();
    });

    it('a scene can be added and deleted with the keyboard alone, and a deleted one is asked about first', async () => {
        await withPage(shared.browser, gallery(), DESKTOP, async (page) => {
            // Early, because the browser is told to hand the chooser to us only now, and without an answer.
            const chosen = page.waitForEvent('filechooser');
            await untilListed(page);
            await page.locator('#add').waitFor();
            await page.keyboard.press('Tab');
            assert.equal(await page.evaluate(() => document.activeElement?.id), 'files');
            await page.keyboard.press('Enter');
            await (await chosen).setFiles([scene('triangle', 'by keyboard.wasm')]);
            await upload(page, 'by keyboard').locator('a', { hasText: 'Watch' }).waitFor();
            assert.match(await page.locator('#announcer').innerText(), /by keyboard can be watched/);
            const remove = card(page, 'by keyboard').locator('button');
            for (const answer of ['delete-keep', 'delete-button']) {
                await remove.focus();
                await page.keyboard.press('Enter');
                await page.waitForSelector('#delete[open]');
                assert.match(await page.locator('#delete').innerText(), /Delete by keyboard\?/);
                assert.equal(await page.evaluate(() => document.activeElement?.id), 'delete-keep', 'what changes nothing has the focus');
                await page.locator(`#${answer}`).focus();
                await page.keyboard.press('Enter');
                await page.waitForSelector('#delete', { state: 'hidden' });
                if (answer === 'delete-keep') assert.equal(await card(page, 'by keyboard').count(), 1);
            }
            await card(page, 'by keyboard').waitFor({ state: 'detached' });
            assert.equal((await scenes()).some(({ owned }) => owned), false);
        });
    });

    it('what the operator put there has no button that deletes it', async () => {
        await withPage(shared.browser, gallery(), DESKTOP, async (page) => {
            await untilListed(page);
            assert.equal(await card(page, 'orbit').locator('button').count(), 0);
        });
    });

    it('a file that travels slowly shows how far it is, and can be cancelled on its way', async () => {
        await withPage(shared.browser, gallery(), DESKTOP, async (page) => {
            await untilListed(page);
            const devtools = await page.context().newCDPSession(page);
            await devtools.send('Network.emulateNetworkConditions', {
                offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: SLOW_BYTES_PER_SECOND,
            });
            await page.setInputFiles('#files', [file('slow.wasm', Buffer.alloc(20 * SLOW_BYTES_PER_SECOND))]);
            const slow = upload(page, 'slow');
            await until('some of it is sent', async () => /Sending… [1-9]\d? %/.test(await slow.innerText()));
            await screenshot(page, 'gallery-sending');
            await slow.locator('button', { hasText: 'Cancel' }).click();
            await slow.waitFor({ state: 'detached' });
            assert.equal((await scenes()).some(({ owned }) => owned), false);
        });
    });

    it('a server that goes away in the middle leaves words and a way on, not a page that is stuck', async () => {
        await withPage(shared.browser, gallery(), DESKTOP, async (page) => {
            await untilListed(page);
            await page.context().setOffline(true);
            await page.setInputFiles('#files', [scene('triangle', 'lost.wasm')]);
            const lost = upload(page, 'lost');
            await lost.locator('text=The connection was lost').waitFor();
            await page.context().setOffline(false);
            await lost.locator('button', { hasText: 'Try again' }).click();
            await lost.locator('a', { hasText: 'Watch' }).waitFor();
        }, [/ERR_INTERNET_DISCONNECTED/]);
        await withoutUploads();
    });

    it('a scene that traps says so, with what it printed beside it, on a desk, on a phone and in a tab behind others', async () => {
        await withPage(shared.browser, gallery(), DESKTOP, async (page) => {
            await untilListed(page);
            await page.setInputFiles('#files', [scene('hostile/traps_in_a_tick', 'Traps.wasm')]);
            await upload(page, 'Traps').locator('a', { hasText: 'Watch' }).waitFor();
        });
        const trapping = (await scenes()).find(({ name }) => name === 'Traps');
        assert.ok(trapping);
        for (const [device, options] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
            await withPage(shared.browser, `${gallery()}/view/${trapping.id}`, options, async (page) => {
                await untilState(page, 'ended');
                assert.equal(await page.locator('#ended').getAttribute('data-code'), 'scene_trap');
                assert.match(await page.locator('#ended').innerText(), /The scene trapped/);
                await page.waitForSelector('#log:not([hidden])');
                assert.match(await page.locator('#log-lines').innerText(), /traps now/);
                await screenshot(page, `viewer-trapped-${device}`);
                // It may be over before the viewer has joined.
            }, [/status of 4(04|10)/]);
        }
        // Opened in a tab behind others, and looked at later.
        await withPage(shared.browser, 'about:blank', SMALL, async (page) => {
            await page.addInitScript(() => Object.defineProperty(document, 'visibilityState', { get: () => 'hidden' }));
            await page.goto(`${gallery()}/view/${trapping.id}`);
            await untilState(page, 'ended');
            await page.waitForSelector('#log:not([hidden])');
            assert.match(await page.locator('#log-lines').innerText(), /traps now/);
        }, [/status of 4(04|10)/]);
        await withoutUploads();
    });

    it('the log is there while a scene runs, and nothing asks for it while it is closed', async () => {
        await withPage(shared.browser, `${gallery()}/view/orbit`, SMALL, async (page) => {
            let asked = 0;
            page.on('request', (request) => { if (request.url().endsWith('/log')) asked += 1; });
            await untilState(page, 'live');
            assert.equal(asked, 0);
            await page.click('#log-button');
            await until('the log was read more than once', () => asked > 1);
            assert.notEqual(`${await page.locator('#log-lines').innerText()}${await page.locator('#log-note').innerText()}`, '');
            await screenshot(page, 'viewer-log');
            await page.click('#log-button');
            assert.equal(await page.locator('#log').isVisible(), false);
            asked = 0;
            await page.waitForTimeout(2_500);
            assert.equal(asked, 0);
        });
    });
}
