// @ts-check
/**
 * How fast it is, printed. The page's own measuring code says when a picture was sent and which input it answers; that it does is
 * recognised in the decoded pixels. What is asserted is order: nothing is seen before it was sent or done.
 */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { distribution, isNew } from '../../../web-client/measure.js';
import { MOVED_LEVELS, pause, stillPicture, until, untilState, withPage } from './browser.js';
import { startServer } from './server.js';

const WINDOW = { viewport: { width: 1280, height: 720 } };
const INPUTS = 40;
const STARTS = 5;
/** The browser rounds its times to a tenth of a millisecond. */
const ROUNDING_MS = 0.2;

/** @param {import('./index.test.js').Shared} shared */
export function latency(shared) {
    it('latency: from sending to presentation, and from a movement of the hand to changed pixels', async (context) => {
        await withPage(shared.browser, `${shared.server.url}/view/orbit`, WINDOW, async (page) => {
            await untilState(page, 'live');
            await page.keyboard.press('F2');
            await page.evaluate(record);
            await page.mouse.move(640, 360);
            await page.mouse.down();
            const inputs = [];
            for (let number = 0; number < INPUTS; number += 1) {
                await stillPicture(page);
                // Not in step with the scene's clock: a hand is not, either.
                await pause(Math.floor(Math.random() * 34));
                await page.evaluate(() => /** @type {any} */ (globalThis).recorder.arm());
                await page.mouse.move(640 + (number % 2 === 0 ? 90 : 0), 360);
                const seen = await until(`movement ${number} is seen in the pixels and answered by a picture`, () =>
                    page.evaluate((levels) => /** @type {any} */ (globalThis).recorder.seen(levels), MOVED_LEVELS));
                inputs.push(seen);
            }
            await page.mouse.up();
            /** @type {import('../../../web-client/measure.js').MeasuredFrame[]} */
            const frames = await page.evaluate(() => /** @type {any} */ (globalThis).recorder.frames);

            const timed = frames.filter((frame) => frame.sentMs !== null);
            assert.ok(timed.length >= INPUTS, `${timed.length} pictures were matched by their RTP timestamp`);
            for (const { sentMs, clockErrorMs, presentedMs, sent } of timed) {
                const ms = presentedMs - Number(sentMs);
                assert.ok(
                    ms > -clockErrorMs - ROUNDING_MS,
                    `picture ${sent.rtp} is presented after it was sent: ${ms} ms, give or take ${clockErrorMs}`,
                );
            }
            for (const { doneMs, changed, answer } of inputs) {
                assert.ok(changed.presentedMs > doneMs, 'pixels change after the hand moved');
                assert.equal(answer.atMs, doneMs, 'the overlay measures from the same moment');
                assert.ok(answer.presentedMs <= changed.presentedMs, 'the scene knew of the movement when it drew the change');
                assert.ok(answer.presentedMs > doneMs);
            }

            const drawn = timed.filter(({ sent }) => isNew(sent));
            const lines = [
                row('send → presentation', timed.map(({ sentMs, presentedMs }) => presentedMs - Number(sentMs))),
                row('send → expected display', timed.map(({ sentMs, expectedDisplayMs }) => expectedDisplayMs - Number(sentMs))),
                row('hand → pixel, by the pixels', inputs.map(({ doneMs, changed }) => changed.presentedMs - doneMs)),
                row('hand → pixel, as the overlay', inputs.map(({ answer }) => answer.ms)),
                row('draw', drawn.map(({ sent }) => sent.scene_us / 1000)),
                row('read back', drawn.map(({ sent }) => sent.readback_us / 1000)),
                row('convert', drawn.map(({ sent }) => sent.convert_us / 1000)),
                row('encode', drawn.map(({ sent }) => sent.encode_us / 1000)),
            ];
            for (const line of lines) context.diagnostic(line);
        });
    });

    it('latency: from creating a session to its first decoded picture', async (context) => {
        const times = [];
        const server = await startServer(['--warm-workers', '1']);
        for (let start = 0; start <= STARTS; start += 1) {
            const ms = await withPage(shared.browser, `${server.url}/view/orbit`, WINDOW, async (page) => {
                await untilState(page, 'live');
                return page.evaluate(() => {
                    const created = performance.getEntriesByType('resource').find(({ name }) => new URL(name).pathname === '/api/sessions');
                    const live = performance.getEntriesByName('scenecast-live')[0];
                    return created === undefined || live === undefined ? null : live.startTime - created.startTime;
                });
            });
            assert.ok(ms !== null && ms > 0, 'a session is created before it is seen');
            // The first one may have had to compile the scene.
            if (start > 0) times.push(ms);
        }
        await server.stop();
        context.diagnostic(row('create → first picture', times));
    });
}

/**
 * @param {string} name
 * @param {number[]} values  milliseconds
 */
function row(name, values) {
    const spread = distribution(values);
    const text = (/** @type {number | undefined} */ value) => (value === undefined ? '–' : value.toFixed(1)).padStart(7);
    return `${name.padEnd(30)} p50 ${text(spread?.p50)} ms   p95 ${text(spread?.p95)} ms   n ${spread?.count ?? 0}`;
}

/** Runs in the page: watches hand, pixels and the page's own meter, each for itself. */
async function record() {
    const { viewer } = await import(/** @type {any} */ ('/static/viewer.js'));
    const video = document.querySelector('video');
    const canvas = document.createElement('canvas');
    canvas.width = 64;
    canvas.height = 36;
    const context = canvas.getContext('2d', { willReadFrequently: true });
    if (video === null || context === null) throw new Error('there is no video on this page');
    const look = () => {
        context.drawImage(video, 0, 0, canvas.width, canvas.height);
        return context.getImageData(0, 0, canvas.width, canvas.height).data;
    };
    /** @type {Uint8ClampedArray} */
    let reference = look();
    /** @type {{ rtp: number, presentedMs: number, drawnMs: number, levels: number }[]} */
    let pictures = [];
    /** @type {number | null} */
    let doneMs = null;
    /** @type {{ atMs: number, ms: number, presentedMs: number, rtp: number }[]} */
    let answers = [];
    /** @type {unknown[]} */
    const frames = [];
    /** Several ticks of the display. */
    const SETTLED_MS = 100;

    viewer.meter.onFrame = (/** @type {unknown} */ frame) => frames.push(frame);
    viewer.meter.onAnswer = (/** @type {any} */ answer, /** @type {any} */ frame) => {
        answers.push({ atMs: answer.atMs, ms: answer.ms, presentedMs: frame.presentedMs, rtp: frame.sent.rtp });
    };
    addEventListener('pointerrawupdate', (event) => { doneMs ??= event.timeStamp; }, { capture: true });
    const watch = () => video.requestVideoFrameCallback((_now, metadata) => {
        watch();
        const drawnMs = performance.now();
        const pixels = look();
        let sum = 0;
        for (let index = 0; index < pixels.length; index += 1) {
            if (index % 4 !== 3) sum += Math.abs((pixels[index] ?? 0) - (reference[index] ?? 0));
        }
        const levels = sum / ((pixels.length / 4) * 3);
        pictures.push({ rtp: metadata.rtpTimestamp ?? -1, presentedMs: metadata.presentationTime, drawnMs, levels });
    });
    watch();

    Object.assign(globalThis, {
        recorder: {
            frames,
            /** From here on the picture is compared with the one that is shown now. */
            arm() {
                reference = look();
                pictures = [];
                answers = [];
                doneMs = null;
            },
            /** @param {number} levels */
            seen(levels) {
                const looked = pictures.find((picture) => picture.levels > levels);
                const answer = answers.find(({ atMs }) => atMs === doneMs);
                if (doneMs === null || looked === undefined || answer === undefined) return null;
                // Between a callback and the look at the picture the next one may have come; its own callback tells a little later.
                if (performance.now() < looked.drawnMs + SETTLED_MS) return null;
                const changed = pictures.filter(({ presentedMs }) => presentedMs <= looked.drawnMs).at(-1) ?? looked;
                return { doneMs, changed, answer };
            },
        },
    });
}
