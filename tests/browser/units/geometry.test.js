// @ts-check
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deviceSize, pictureRect, toPicture } from '../../../web-client/geometry.js';

const BOX = { left: 100, top: 50, width: 800, height: 600 };

test('a wide picture has bars above and below', () => {
    assert.deepEqual(pictureRect(BOX, { width: 1600, height: 800 }), { left: 100, top: 150, width: 800, height: 400 });
});

test('a tall picture has bars at its sides', () => {
    assert.deepEqual(pictureRect(BOX, { width: 300, height: 600 }), { left: 350, top: 50, width: 300, height: 600 });
});

test('without a picture yet, the whole place is the picture', () => {
    assert.deepEqual(pictureRect(BOX, { width: 0, height: 0 }), BOX);
});

test('positions are fractions of the picture, not of the window', () => {
    const rect = pictureRect(BOX, { width: 1600, height: 800 });
    assert.deepEqual(toPicture(rect, 100, 150), { x: 0, y: 0, isInside: true });
    assert.deepEqual(toPicture(rect, 500, 350), { x: 0.5, y: 0.5, isInside: true });
    assert.deepEqual(toPicture(rect, 900, 550), { x: 1, y: 1, isInside: true });
});

test('a position beside the picture is clamped to its edge and known to be outside', () => {
    const rect = pictureRect(BOX, { width: 1600, height: 800 });
    assert.deepEqual(toPicture(rect, 500, 60), { x: 0.5, y: 0, isInside: false });
    assert.deepEqual(toPicture(rect, 5000, 350), { x: 1, y: 0.5, isInside: false });
});

test('a picture without any area gives finite positions', () => {
    assert.deepEqual(toPicture({ left: 0, top: 0, width: 0, height: 0 }, 5, 5), { x: 0, y: 0, isInside: true });
});

test('the size asked for is in device pixels', () => {
    assert.deepEqual(deviceSize(390, 844, 3), { width: 1170, height: 2532 });
    assert.deepEqual(deviceSize(1000.4, 700.6, 1.25), { width: 1251, height: 876 });
});

test('any window gives a size that is a positive whole number', () => {
    for (const [width, height, ratio] of [[0, 0, 1], [-5, 10, 1], [1e9, 1e9, 8], [10, 10, 0], [10, 10, NaN], [NaN, 10, 1]]) {
        const size = deviceSize(Number(width), Number(height), Number(ratio));
        for (const side of [size.width, size.height]) assert.ok(Number.isInteger(side) && side >= 1 && side <= 16_384, `${side}`);
    }
});
