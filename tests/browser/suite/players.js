// @ts-check
/** Two WHEP players that others have written play our streams, from an origin that is not the server's. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { it } from 'node:test';
import { SMALL, picture, pictureSize, until, withPage } from './browser.js';

const require = createRequire(import.meta.url);

/** The files that a page of the second origin may load. @type {Record<string, () => string>} */
const FILES = {
    '/': () => `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><title>A player</title>
        <video muted autoplay playsinline></video>`,
    '/whep.js': () => readFileSync(require.resolve('@binbat/whip-whep/whep.js'), 'utf8'),
    '/webrtc-player.js': () => asModule(require.resolve('@eyevinn/webrtc-player')),
};

/**
 * The player is published as CommonJS for a bundler. Of what it requires only its event emitter is used here: advertisements and
 * another signalling protocol are not.
 *
 * @param {string} file
 */
function asModule(file) {
    const events = readFileSync(createRequire(file).resolve('events/'), 'utf8');
    return `
        const load = (body) => { const module = { exports: {} }; body(module, module.exports); return module.exports; };
        const events = load((module, exports) => { ${events}\n });
        const unused = { CSAIManager: class {}, WHPPClient: class {} };
        const require = (name) => (name === 'events' ? events : unused);
        export const { WebRTCPlayer } = load((module, exports) => { ${readFileSync(file, 'utf8')}\n });
    `;
}

/** @returns {Promise<{ origin: string, stop: () => Promise<void> }>} */
export async function servePlayers() {
    const server = createServer((request, response) => {
        const body = FILES[new URL(request.url ?? '/', 'http://localhost').pathname]?.();
        const type = request.url?.endsWith('.js') ? 'text/javascript' : 'text/html';
        response.writeHead(body === undefined ? 404 : 200, { 'Content-Type': `${type}; charset=utf-8` }).end(body);
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
    const address = server.address();
    assert.ok(address !== null && typeof address === 'object');
    return {
        origin: `http://127.0.0.1:${address.port}`,
        stop: () => new Promise((resolve) => {
            server.close(() => resolve());
            server.closeIdleConnections();
        }),
    };
}

/** @param {import('./index.test.js').Shared} shared */
export function players(shared) {
    /** @returns {Promise<string>} the WHEP endpoint of a new session */
    const newSession = async () => {
        const response = await shared.server.fetch('/api/sessions', {
            method: 'POST',
            headers: { 'Content-Type': 'application/json' },
            body: JSON.stringify({ scene: 'orbit', width: 640, height: 400 }),
        });
        assert.equal(response.status, 201);
        return shared.server.url + (await response.json()).whep;
    };

    /** @param {import('playwright-core').Page} page */
    const plays = async (page) => {
        await until('video frames are decoded', () =>
            page.evaluate(() => (document.querySelector('video')?.getVideoPlaybackQuality().totalVideoFrames ?? 0) > 0));
        const { width, height } = await pictureSize(page);
        assert.ok(width > 0 && width <= 640 && height > 0 && height <= 400, `${width} × ${height}`);
        const shades = new Set(await picture(page));
        assert.ok(shades.size > 20, `the scene is in the picture, which has ${shades.size} shades`);
    };

    it('@eyevinn/webrtc-player plays a session', async () => {
        await withPage(shared.browser, shared.playersOrigin, SMALL, async (page) => {
            await page.evaluate(async ([endpoint]) => {
                const { WebRTCPlayer } = await import(/** @type {any} */ ('/webrtc-player.js'));
                const player = new WebRTCPlayer({ video: document.querySelector('video'), type: 'whep', iceServers: [] });
                Object.assign(globalThis, { player });
                await player.load(new URL(String(endpoint)));
            }, [await newSession()]);
            await plays(page);
            await page.evaluate(() => /** @type {any} */ (globalThis).player.unload());
        });
    });

    it('@binbat/whip-whep plays a session', async () => {
        await withPage(shared.browser, shared.playersOrigin, SMALL, async (page) => {
            await page.evaluate(async ([endpoint]) => {
                const { WHEPClient } = await import(/** @type {any} */ ('/whep.js'));
                // As its documentation shows it: audio first, everything bundled.
                const peer = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
                peer.addTransceiver('audio');
                peer.addTransceiver('video');
                peer.ontrack = (event) => {
                    const video = document.querySelector('video');
                    if (event.track.kind === 'video' && video !== null) video.srcObject = event.streams[0] ?? new MediaStream([event.track]);
                };
                await new WHEPClient().view(peer, String(endpoint));
            }, [await newSession()]);
            await plays(page);
        });
    });
}
