// @ts-check
/** Chromium for the tests: pages that remember what went wrong on them, pictures as numbers. */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { chromium } from 'playwright-core';
import { ROOT } from './server.js';

const SCREENSHOTS = path.join(ROOT, 'target/screenshots');
/** Nothing here is about speed: a machine that is busy with something else gets the time it needs. */
const PATIENCE_MS = 30_000;

export const DESKTOP = { viewport: { width: 1440, height: 900 } };
export const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true };
/** Small enough that two cores render, encode and decode it with room to spare. */
export const SMALL = { viewport: { width: 640, height: 400 } };

/** @typedef {import('playwright-core').Browser} Browser */
/** @typedef {import('playwright-core').Page} Page */

/** @returns {Promise<Browser>} */
export function launch() {
    return chromium.launch({
        executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
        headless: true,
        args: [
            '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
            '--disable-component-update', '--disable-sync',
        ],
    });
}

/**
 * Opens a page, hands it to `use` and closes it. What the page complains about (scripts that fail, parts that are missing, what its
 * content security policy refuses) fails the test.
 *
 * @template T
 * @param {Browser} browser
 * @param {string} url
 * @param {import('playwright-core').BrowserContextOptions} options
 * @param {(page: Page) => Promise<T>} use
 * @param {readonly RegExp[]} [expected]  complaints that belong to the test, such as the browser's word about a refused request
 */
export async function withPage(browser, url, options, use, expected = []) {
    const context = await browser.newContext(options);
    try {
        const page = await context.newPage();
        /** @type {string[]} */
        const complaints = [];
        page.on('console', (message) => {
            if (message.type() !== 'error' && message.type() !== 'warning') return;
            if (!expected.some((pattern) => pattern.test(message.text()))) complaints.push(message.text());
        });
        page.on('pageerror', (error) => complaints.push(String(error)));
        await page.goto(url);
        const result = await use(page);
        assert.deepEqual(complaints, [], `${url} complains`);
        return result;
    } finally {
        await context.close();
    }
}

/**
 * Waits until something holds.
 *
 * @template T
 * @param {string} what  the sentence that fails
 * @param {() => Promise<T> | T} probe
 * @returns {Promise<NonNullable<T>>} the first value that is not false, null or undefined
 */
export async function until(what, probe, pauseMs = 50) {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
        const value = await probe();
        if (value) return /** @type {NonNullable<T>} */ (value);
        if (Date.now() > deadline) assert.fail(`this did not come about: ${what}`);
        await pause(pauseMs);
    }
}

/** @param {number} ms */
export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * @param {Page} page
 * @param {'connecting' | 'live' | 'reconnecting' | 'ended'} state
 */
export async function untilState(page, state) {
    try {
        await page.waitForSelector(`body[data-state="${state}"]`, { timeout: PATIENCE_MS });
    } catch {
        const now = await page.evaluate(() => `${document.body.dataset.state}: ${document.getElementById('ended')?.innerText ?? ''}`);
        assert.fail(`the page did not become ${state}; it is ${now}`);
    }
}

/**
 * @param {Page} page
 * @param {string} name
 */
export async function screenshot(page, name) {
    mkdirSync(SCREENSHOTS, { recursive: true });
    await page.screenshot({ path: path.join(SCREENSHOTS, `${name}.png`) });
}

/**
 * The picture that the video shows now.
 *
 * @param {Page} page
 * @returns {Promise<number[]>} 64 × 36 pixels of red, green and blue, each 0 to 255
 */
export function picture(page) {
    return page.evaluate(() => {
        const video = document.querySelector('video');
        const canvas = document.createElement('canvas');
        canvas.width = 64;
        canvas.height = 36;
        const context = canvas.getContext('2d');
        if (video === null || context === null) throw new Error('there is no video on this page');
        context.drawImage(video, 0, 0, canvas.width, canvas.height);
        return [...context.getImageData(0, 0, canvas.width, canvas.height).data].filter((_, index) => index % 4 !== 3);
    });
}

/**
 * The mean difference of two pictures in levels of 255.
 *
 * @param {readonly number[]} one
 * @param {readonly number[]} other
 */
export function difference(one, other) {
    assert.equal(one.length, other.length);
    return one.reduce((sum, value, index) => sum + Math.abs(value - (other[index] ?? 0)), 0) / one.length;
}

/** What a lossy encoder leaves between two pictures of the same: measured below 0.2 levels. */
const STILL_LEVELS = 0.5;
/** What a camera that moved visibly makes: measured above 4. */
export const MOVED_LEVELS = 1.5;

/**
 * Waits until nothing moves.
 *
 * @param {Page} page
 * @returns {Promise<number[]>} the picture then
 */
export async function stillPicture(page) {
    let last = await picture(page);
    return until('the picture stands still', async () => {
        await pause(250);
        const now = await picture(page);
        const isStill = difference(last, now) < STILL_LEVELS;
        last = now;
        return isStill ? now : null;
    });
}

/**
 * Does something and waits until the picture shows it.
 *
 * @param {Page} page
 * @param {string} what
 * @param {() => Promise<void>} act
 * @param {Page} [seenOn]  the page to look at, if it is another one
 */
export async function changesPicture(page, what, act, seenOn = page) {
    const before = await stillPicture(seenOn);
    await act();
    await until(`${what} changes the picture`, async () => difference(before, await picture(seenOn)) > MOVED_LEVELS);
}

/**
 * A drag with the mouse, in steps that a hand could make.
 *
 * @param {Page} page
 * @param {{ x: number, y: number }} from
 * @param {{ x: number, y: number }} to
 */
export async function drag(page, from, to) {
    await page.mouse.move(from.x, from.y);
    await page.mouse.down();
    for (let step = 1; step <= 8; step += 1) {
        await page.mouse.move(from.x + ((to.x - from.x) * step) / 8, from.y + ((to.y - from.y) * step) / 8);
        await pause(16);
    }
    await page.mouse.up();
}

/**
 * @param {Page} page
 * @returns {Promise<{ width: number, height: number }>} pixels of the picture
 */
export function pictureSize(page) {
    return page.evaluate(() => {
        const video = document.querySelector('video');
        return { width: video?.videoWidth ?? 0, height: video?.videoHeight ?? 0 };
    });
}

/** @param {Page} page */
export function sessionOf(page) {
    return new URL(page.url()).pathname.split('/')[3] ?? '';
}
