// @ts-check
/**
 * The viewer in a real browser against the built server: one server, one browser, one test after the other.
 *
 *   npm run browser
 *
 * `SCENECAST` and `SCENECAST_SCENES` name another server binary and another folder of scenes, `CHROMIUM` another browser.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { access } from './access.js';
import { launch } from './browser.js';
import { endings } from './endings.js';
import { gallery } from './gallery.js';
import { headless } from './headless.js';
import { latency } from './latency.js';
import { overlay } from './overlay.js';
import { players, servePlayers } from './players.js';
import { sharing } from './sharing.js';
import { startServer } from './server.js';
import { uploading } from './uploading.js';
import { viewing } from './viewing.js';

/**
 * @typedef {object} Shared
 * @property {import('./server.js').Server} server
 * @property {import('playwright-core').Browser} browser
 * @property {string} playersOrigin  a second origin, which the server allows
 */

describe('the viewer', { concurrency: false }, () => {
    const shared = /** @type {Shared} */ ({});
    /** @type {() => Promise<void>} */
    let stopPlayers = async () => {};

    before(async () => {
        const pages = await servePlayers();
        stopPlayers = pages.stop;
        shared.playersOrigin = pages.origin;
        shared.server = await startServer(['--allow-origin', pages.origin]);
        shared.browser = await launch();
    });

    after(async () => {
        await shared.browser?.close();
        await stopPlayers();
        await shared.server?.stop();
    });

    for (const part of [gallery, uploading, headless, viewing, overlay, sharing, latency, players, endings]) part(shared);

    describe('with tokens', { concurrency: false }, () => access(shared));

    it('the server ends in order when it is told to', async () => {
        assert.equal(await shared.server.stop(), 0, shared.server.log());
    });
});
