// @ts-check
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isForBrowser, isForScene, textOf } from '../../../web-client/keyboard.js';

/** @param {string} code @param {string} key @param {object} [more] */
const press = (code, key, more = {}) => ({
    code, key, repeat: false, altKey: false, ctrlKey: false, metaKey: false, shiftKey: false, ...more,
});

test('letters, arrows and space are the scene’s alone', () => {
    for (const event of [press('KeyW', 'w'), press('ArrowLeft', 'ArrowLeft'), press('Space', ' '), press('Slash', '/')]) {
        assert.ok(isForScene(event) && !isForBrowser(event), event.code);
    }
});

test('Tab stays the browser’s, so that the keyboard is never trapped', () => {
    assert.equal(isForScene(press('Tab', 'Tab')), false);
    assert.equal(isForBrowser(press('Tab', 'Tab')), true);
});

test('the browser’s shortcuts still work, and the scene sees the keys too', () => {
    for (const event of [press('KeyR', 'r', { ctrlKey: true }), press('KeyL', 'l', { metaKey: true }), press('F5', 'F5'), press('Escape', 'Escape')]) {
        assert.ok(isForScene(event) && isForBrowser(event), event.code);
    }
});

test('a key without a place on the keyboard, or within a composition, is nobody’s command', () => {
    assert.equal(isForScene(press('', 'Unidentified')), false);
    assert.equal(isForScene(press('KeyA', 'Process', { isComposing: true })), false);
    assert.equal(isForScene(press('X'.repeat(33), 'x')), false);
});

test('a key writes one character, or nothing', () => {
    assert.equal(textOf(press('KeyA', 'ä')), 'ä');
    assert.equal(textOf(press('KeyA', '😀')), '😀');
    assert.equal(textOf(press('Enter', 'Enter')), undefined);
    assert.equal(textOf(press('BracketLeft', 'Dead')), undefined);
});

test('a shortcut writes nothing, but AltGr does though Windows reports it as Control and Alt', () => {
    assert.equal(textOf(press('KeyC', 'c', { ctrlKey: true })), undefined);
    const at = press('KeyQ', '@', { ctrlKey: true, altKey: true, getModifierState: (/** @type {string} */ name) => name === 'AltGraph' });
    assert.equal(textOf(at), '@');
    assert.equal(isForBrowser(at), false);
});
