// @ts-check
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describe as figureTexts } from '../../../web-client/overlay.js';
import { explain } from '../../../web-client/reasons.js';
import { candidateFragment, parseMessage } from '../../../web-client/whep.js';

test('a reason of the scene or of the worker keeps the server’s words as a detail', () => {
    assert.equal(explain({ code: 'scene_trap', message: 'unreachable at orbit!draw' }).detail, 'unreachable at orbit!draw');
    assert.equal(explain({ code: 'worker_killed', message: 'signal 9' }).detail, 'signal 9');
});

test('a reason that is new to this page is told in the server’s words', () => {
    assert.deepEqual(explain({ code: 'moon_phase', message: 'The moon is full.' }), {
        title: 'The session is over', text: 'The moon is full.', detail: '', again: 'Start again',
    });
});

test('trying again is offered only where it can help', () => {
    assert.equal(explain({ code: 'unknown_scene', message: '' }).again, null);
    assert.equal(explain({ code: 'sdp_without_h264', message: '' }).again, null);
    assert.notEqual(explain({ code: 'unreachable', message: '' }).again, null);
});

test('what is not known yet is a dash, not a zero', () => {
    const texts = figureTexts({
        framesPerSecond: null, width: 0, height: 0, bitrateBps: null, roundTripMs: null, decodeMs: null, framesDropped: null,
        sendToPresentationMs: null, clickToPixelMs: null,
        server: { sceneUs: null, readbackUs: null, convertUs: null, encodeUs: null },
    });
    assert.deepEqual([...new Set(Object.values(texts))], ['–']);
});

test('figures have their units', () => {
    const one = { p50: 1500, p95: 1500, count: 1 };
    assert.deepEqual(
        figureTexts({
            framesPerSecond: 29.97, width: 1280, height: 720, bitrateBps: 4_250_000, roundTripMs: 0.52, decodeMs: 1.26, framesDropped: 3,
            sendToPresentationMs: { p50: 1.84, p95: 2.5, count: 9 }, clickToPixelMs: { p50: 44.4, p95: 58, count: 9 },
            server: { sceneUs: one, readbackUs: one, convertUs: one, encodeUs: one },
        }),
        {
            fps: '30', resolution: '1280 × 720', bitrate: '4.3 Mb/s', 'round-trip': '0.5 ms', decode: '1.3 ms', dropped: '3',
            'send-to-presentation': '1.8 ms (p95 2.5)', 'click-to-pixel': '44.4 ms (p95 58.0)', server: '1.5 + 1.5 + 1.5 + 1.5 ms',
        },
    );
});

test('candidates are told as an SDP fragment of the first m-line', () => {
    const sdp = ['v=0', 'm=video 9 UDP/TLS/RTP/SAVPF 96', 'a=ice-ufrag:abcd', 'a=ice-pwd:secret', 'a=mid:0', 'm=application 9 X 0', 'a=mid:1', ''].join('\r\n');
    assert.equal(
        candidateFragment(sdp, [{ candidate: 'candidate:1 1 udp 1 127.0.0.1 5000 typ host' }, { candidate: '' }], true),
        'a=ice-ufrag:abcd\r\na=ice-pwd:secret\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\n' +
            'a=candidate:1 1 udp 1 127.0.0.1 5000 typ host\r\na=end-of-candidates\r\n',
    );
});

test('what is no message is none', () => {
    for (const text of ['', 'null', '7', '[]', '{}', '{"type":3}', '{']) assert.equal(parseMessage(text), null, text);
    assert.deepEqual(parseMessage('{"type":"size","width":2}'), { type: 'size', width: 2 });
});
