// @ts-check
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describe as figureTexts } from '../../../web-client/overlay.js';
import { Problem } from '../../../web-client/api.js';
import { explain } from '../../../web-client/reasons.js';
import { explainRefusal } from '../../../web-client/refusals.js';
import { candidateFragment, parseMessage } from '../../../web-client/whep.js';

test('a reason of the scene or of the worker keeps the server’s words as a detail', () => {
    assert.equal(explain({ code: 'scene_trap', message: 'unreachable at orbit!draw' }).detail, 'unreachable at orbit!draw');
    assert.equal(explain({ code: 'worker_died', message: 'signal 9' }).detail, 'signal 9');
});

test('a reason that is new to this page is told in the server’s words', () => {
    assert.deepEqual(explain({ code: 'moon_phase', message: 'The moon is full.' }), {
        title: 'The scene cannot be shown', text: 'The moon is full.', detail: '', again: 'Try again', isLogTelling: true,
    });
});

test('what the server refuses keeps its words, and no log is asked for what never ran', () => {
    const { detail, isLogTelling, again } = explain({ code: 'foreign_origin', message: 'Allow other pages with --allow-origin.' });
    assert.deepEqual([detail, isLogTelling, again], ['Allow other pages with --allow-origin.', false, null]);
    assert.equal(explain({ code: 'scene_too_large', message: '' }).title, explain({ code: 'scene_not_wasm', message: '' }).title);
});

test('trying again is offered only where it can help', () => {
    assert.equal(explain({ code: 'unknown_scene', message: '' }).again, null);
    assert.equal(explain({ code: 'sdp_without_h264', message: '' }).again, null);
    assert.notEqual(explain({ code: 'unreachable', message: '' }).again, null);
});

test('every way in which a scene fails has words of its own, and its log beside them', () => {
    const codes = ['scene_trap', 'scene_error', 'scene_unresponsive', 'scene_gpu_timeout', 'scene_device_lost', 'scene_limit'];
    const explained = codes.map((code) => explain({ code, message: 'exactly this' }));
    assert.equal(new Set(explained.map(({ title }) => title)).size, codes.length);
    assert.ok(explained.every(({ detail, isLogTelling }) => detail === 'exactly this' && isLogTelling));
});

test('who came by a link is not asked for a token, and not offered a new session', () => {
    assert.equal(explain({ code: 'unauthorized', message: '' }, 'grant').title, 'This link is over');
    assert.equal(explain({ code: 'revoked', message: '' }, 'grant').again, null);
    assert.equal(explain({ code: 'session_ended', message: '' }, 'grant').again, null);
    assert.notEqual(explain({ code: 'session_ended', message: '' }, 'token').again, null);
});

test('a refused import is named, with the server’s sentence', () => {
    const message = 'it imports `wasi:http/outgoing-handler@0.2.0`, which is not offered here; offered are …';
    const { title, detail, isRetryable } = explainRefusal(new Problem(422, 'scene_import_not_offered', message), 1);
    assert.match(title, /wasi:http\/outgoing-handler@0\.2\.0/);
    assert.equal(detail, message);
    assert.equal(isRetryable, false);
});

test('a core module is refused with the command that wraps it', () => {
    assert.match(explainRefusal(new Problem(422, 'scene_core_module', ''), 1).command ?? '', /^wasm-tools component new /);
});

test('a refusal that may pass can be tried again, and says when', () => {
    const busy = explainRefusal(new Problem(429, 'too_many_requests', 'slower', 12_000), 1);
    assert.match(busy.text, /in 12 seconds/);
    for (const code of ['too_many_requests', 'library_full', 'unreachable', 'draining']) {
        const status = { too_many_requests: 429, library_full: 507, unreachable: 0, draining: 503 }[code] ?? 0;
        assert.ok(explainRefusal(new Problem(status, code, ''), 1).isRetryable, code);
    }
    for (const code of ['scene_not_wasm', 'scene_too_large', 'forbidden']) {
        assert.equal(explainRefusal(new Problem(422, code, ''), 1).isRetryable, false, code);
    }
});

test('a refusal that is new to this page is told in the server’s words', () => {
    assert.equal(explainRefusal(new Problem(422, 'moon_phase', 'The moon is full.'), 1).detail, 'The moon is full.');
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
