// @ts-check
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InputState, MOVE_INTERVAL_MS } from '../../../web-client/input.js';

const RECT = { left: 0, top: 0, width: 100, height: 50 };

/** An input state whose messages and timers lie open. */
function hand() {
    /** @type {({ lane: string, atMs: number, type: string } & Record<string, any>)[]} */
    const said = [];
    /** @type {(() => void)[]} */
    const timers = [];
    const input = new InputState((lane, message, atMs) => said.push({ lane, atMs, ...message }), (run) => timers.push(run));
    return { input, said, types: () => said.map((message) => message.type), elapse: () => timers.splice(0).forEach((run) => run()) };
}

/** @param {number} clientX @param {number} clientY @param {object} [more] */
const at = (clientX, clientY, more = {}) => ({
    pointerId: 1, pointerType: 'mouse', clientX, clientY, buttons: 0, pressure: 0, timeStamp: 1000, ...more,
});
const held = { buttons: 1, pressure: 0.5 };

/** @param {string} code @param {string} [key] @param {object} [more] */
const key = (code, key = 'x', more = {}) => ({
    code, key, repeat: false, altKey: false, ctrlKey: false, metaKey: false, shiftKey: false, timeStamp: 2000, ...more,
});

test('a drag is a press, moves and a release, with rising numbers and fractions of the picture', () => {
    const { input, said } = hand();
    assert.equal(input.pointerDown(at(50, 25, held), RECT), true);
    input.pointerMove(at(75, 25, { ...held, timeStamp: 1020 }), RECT);
    input.pointerUp(at(100, 50, { timeStamp: 1040 }), RECT);
    assert.deepEqual(said, [
        { lane: 'events', atMs: 1000, type: 'pointer-down', seq: 1, id: 1, kind: 'mouse', x: 0.5, y: 0.5, buttons: 1, pressure: 0.5 },
        { lane: 'motion', atMs: 1020, type: 'pointer-move', seq: 2, id: 1, kind: 'mouse', x: 0.75, y: 0.5, buttons: 1, pressure: 0.5 },
        { lane: 'events', atMs: 1040, type: 'pointer-up', seq: 3, id: 1, kind: 'mouse', x: 1, y: 1, buttons: 0, pressure: 0 },
    ]);
});

test('moves that come faster than they are sent are merged, the newest wins', () => {
    const { input, said, elapse } = hand();
    for (let step = 0; step < 10; step += 1) input.pointerMove(at(step, 0, { timeStamp: 1000 + step / 2 }), RECT);
    assert.deepEqual(said.map(({ x }) => x), [0]);
    elapse();
    assert.deepEqual(said.map(({ x }) => x), [0, 0.09]);
    input.pointerMove(at(50, 0, { timeStamp: 1000 + 2 * MOVE_INTERVAL_MS }), RECT);
    assert.deepEqual(said.map(({ x }) => x), [0, 0.09, 0.5]);
});

test('two fingers that move at once do not merge with each other', () => {
    const { input, said, elapse } = hand();
    for (const pointerId of [7, 8]) input.pointerDown(at(10, 10, { ...held, pointerId, pointerType: 'touch' }), RECT);
    said.length = 0;
    for (const [pointerId, x] of [[7, 1], [8, 2], [7, 3], [8, 4]]) {
        input.pointerMove(at(Number(x), 10, { ...held, pointerId, pointerType: 'touch' }), RECT);
    }
    elapse();
    assert.deepEqual(said.map(({ id, x }) => [id, x]), [[7, 0.01], [8, 0.04], [7, 0.03]]);
});

test('a merged move that waits is overtaken by the release, not sent after it', () => {
    const { input, types, elapse } = hand();
    input.pointerDown(at(10, 10, held), RECT);
    input.pointerMove(at(20, 10, held), RECT);
    input.pointerMove(at(30, 10, { ...held, timeStamp: 1001 }), RECT);
    input.pointerUp(at(30, 10, { timeStamp: 1002 }), RECT);
    elapse();
    assert.deepEqual(types(), ['pointer-down', 'pointer-move', 'pointer-up']);
});

test('a second button while one is down goes by the reliable channel', () => {
    const { input, said } = hand();
    input.pointerDown(at(10, 10, held), RECT);
    input.pointerMove(at(10, 10, { buttons: 3, pressure: 0.5 }), RECT);
    assert.deepEqual(said.map(({ lane, type, buttons }) => [lane, type, buttons]), [['events', 'pointer-down', 1], ['events', 'pointer-move', 3]]);
});

test('a press beside the picture is not the scene’s, a drag that leaves the picture is', () => {
    const { input, said } = hand();
    assert.equal(input.pointerDown(at(150, 10, held), RECT), false);
    input.pointerUp(at(150, 10), RECT);
    assert.equal(said.length, 0);
    input.pointerDown(at(90, 10, held), RECT);
    input.pointerMove(at(150, 10, { ...held, timeStamp: 1020 }), RECT);
    assert.equal(said[1]?.x, 1);
});

test('the wheel is told in pixels, whatever unit the browser reports', () => {
    const { input, said } = hand();
    const wheel = { clientX: 50, clientY: 25, deltaX: 0, timeStamp: 1 };
    input.wheel({ ...wheel, deltaY: 120, deltaMode: 0 }, RECT);
    input.wheel({ ...wheel, deltaY: 3, deltaMode: 1 }, RECT);
    input.wheel({ ...wheel, deltaY: -1, deltaMode: 2 }, RECT);
    input.wheel({ ...wheel, deltaY: 0, deltaMode: 0 }, RECT);
    assert.deepEqual(said.map(({ dx, dy }) => [dx, dy]), [[0, 120], [0, 120], [0, -50]]);
});

test('a key carries its place, its text and the modifiers', () => {
    const { input, said } = hand();
    input.keyDown(key('KeyW', 'W', { shiftKey: true }));
    input.keyDown(key('KeyW', 'W', { shiftKey: true, repeat: true }));
    input.keyUp(key('KeyW', 'W'));
    const modifiers = { alt: false, ctrl: false, meta: false };
    assert.deepEqual(said, [
        { lane: 'events', atMs: 2000, type: 'key-down', seq: 1, code: 'KeyW', text: 'W', repeat: false, ...modifiers, shift: true },
        { lane: 'events', atMs: 2000, type: 'key-down', seq: 2, code: 'KeyW', text: 'W', repeat: true, ...modifiers, shift: true },
        { lane: 'events', atMs: 2000, type: 'key-up', seq: 3, code: 'KeyW', repeat: false, ...modifiers, shift: false },
    ]);
});

test('losing the focus releases every pointer and key, before it says so', () => {
    const { input, said } = hand();
    input.focus(true, 1);
    input.pointerDown(at(10, 10, held), RECT);
    input.pointerDown(at(20, 10, { ...held, pointerId: 2, pointerType: 'touch' }), RECT);
    input.keyDown(key('KeyA'));
    input.keyDown(key('ShiftLeft', 'Shift'));
    said.length = 0;
    input.focus(false, 5000);
    assert.deepEqual(
        said.map(({ type, id, code, focused }) => [type, id ?? code ?? focused]),
        [['pointer-cancel', 1], ['pointer-cancel', 2], ['key-up', 'KeyA'], ['key-up', 'ShiftLeft'], ['focus', false]],
    );
    assert.deepEqual(input.pressed, { pointers: [], keys: [] });
});

test('what was released so does not come up a second time', () => {
    const { input, said } = hand();
    input.pointerDown(at(10, 10, held), RECT);
    input.keyDown(key('KeyA'));
    input.release(5000);
    said.length = 0;
    input.pointerUp(at(10, 10), RECT);
    input.pointerCancel({ pointerId: 1, timeStamp: 5001 });
    input.keyUp(key('KeyA'));
    assert.equal(said.length, 0);
});

test('a button that is still held after a release only hovers, a finger says nothing', () => {
    const { input, said } = hand();
    input.pointerDown(at(10, 10, held), RECT);
    input.pointerDown(at(10, 10, { ...held, pointerId: 2, pointerType: 'touch' }), RECT);
    input.release(1500);
    said.length = 0;
    input.pointerMove(at(20, 10, { ...held, timeStamp: 1600 }), RECT);
    input.pointerMove(at(20, 10, { ...held, pointerId: 2, pointerType: 'touch', timeStamp: 1700 }), RECT);
    assert.deepEqual(said.map(({ id, buttons }) => [id, buttons]), [[1, 0]]);
});

test('a key that repeats after a release is a press again', () => {
    const { input, said } = hand();
    input.keyDown(key('KeyA'));
    input.release(1);
    input.keyDown(key('KeyA', 'a', { repeat: true }));
    assert.deepEqual(said.map(({ type, repeat }) => [type, repeat]), [['key-down', false], ['key-up', false], ['key-down', false]]);
});

test('letting Command go releases the keys whose release macOS does not report', () => {
    const { input, said } = hand();
    input.keyDown(key('MetaLeft', 'Meta', { metaKey: true }));
    input.keyDown(key('KeyK', 'k', { metaKey: true }));
    input.keyUp(key('MetaLeft', 'Meta'));
    assert.deepEqual(said.map(({ type, code }) => [type, code]), [
        ['key-down', 'MetaLeft'], ['key-down', 'KeyK'], ['key-up', 'MetaLeft'], ['key-up', 'KeyK'],
    ]);
});

test('on a new connection nothing is pressed, and the focus is told anew', () => {
    const { input, said } = hand();
    input.focus(true, 1);
    input.keyDown(key('KeyA'));
    said.length = 0;
    input.startOver(true, 2);
    input.keyUp(key('KeyA'));
    assert.deepEqual(said.map(({ type, focused }) => [type, focused]), [['focus', true]]);
});
