// @ts-check
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { agoText, listText, nameOfFile, usesOf, waitText } from '../../../web-client/formats.js';
import { timeText } from '../../../web-client/log.js';

const MINUTE_MS = 60_000;

test('a time is as far back as a person would say', () => {
    const ago = (/** @type {number} */ ms) => agoText(0, ms);
    assert.equal(ago(20_000), 'just now');
    assert.equal(ago(-5_000), 'just now');
    assert.equal(ago(MINUTE_MS), '1 minute ago');
    assert.equal(ago(119 * MINUTE_MS), '1 hour ago');
    assert.equal(ago(24 * 60 * MINUTE_MS), 'yesterday');
    assert.equal(ago(72 * 60 * MINUTE_MS), '3 days ago');
});

test('a wait is never none, and not counted in hundreds of seconds', () => {
    assert.deepEqual([-5, 1_000, 1_001, 90_000, 300_000].map(waitText), ['1 second', '1 second', '2 seconds', '90 seconds', '5 minutes']);
});

test('what a scene imports is said in words, once each, and an unknown name as it is', () => {
    const imports = [
        'wasi:webgpu/webgpu@0.3.0-rc.2', 'wasi-gfx:surface/surface@0.2.0', 'wasi-gfx:surface/surface-webgpu@0.2.0',
        'scenecast:scene/input@0.1.0', 'wasi:cli/stdout@0.2.6', 'wasi:cli/stderr@0.2.6', 'new:thing/some@1.0.0',
    ];
    assert.equal(listText(usesOf(imports)), 'WebGPU, a window, pointer and keys, printing and new:thing/some@1.0.0');
    assert.equal(listText(usesOf([])), '');
});

test('a scene is called like its file, within bounds', () => {
    assert.equal(nameOfFile('Falling leaves.wasm'), 'Falling leaves');
    assert.equal(nameOfFile('ORBIT.WASM'), 'ORBIT');
    assert.equal(nameOfFile('.wasm'), 'scene');
    assert.equal(nameOfFile('a\u0000\u202eb.wasm'), 'ab');
    assert.equal([...nameOfFile('😀'.repeat(200))].length, 80);
});

test('a line of the log has its time to the thousandth', () => {
    assert.deepEqual([0, 61_005.9, 3_600_000].map(timeText), ['00:00.000', '01:01.005', '60:00.000']);
});
