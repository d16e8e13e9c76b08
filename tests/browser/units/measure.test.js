// @ts-check
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FrameJournal, Recent, ResponseTimes, ServerClock, distribution, ratesBetween, snapshotOf } from '../../../web-client/measure.js';

/** The server's clock of these tests is 5 seconds ahead of ours. @param {number} ms */
const serverUs = (ms) => (ms + 5_000) * 1000;

/** @param {object} [more] */
const sent = (more = {}) => ({
    rtp: 90_000, sent_us: serverUs(100), seq: 3, scene_us: 900, readback_us: 400, convert_us: 300, encode_us: 1500, bytes: 4321,
    keyframe: false, ...more,
});
const presented = (rtpTimestamp = 90_000, presentationTime = 103) => ({
    rtpTimestamp, receiveTime: 101, presentationTime, expectedDisplayTime: 116,
});

function knownClock() {
    const clock = new ServerClock();
    clock.pong(10, serverUs(11), 12);
    return clock;
}

test('the server’s clock is read off the ping with the shortest round trip', () => {
    const clock = new ServerClock();
    assert.equal(clock.toLocalMs(serverUs(100)), null);
    clock.pong(10, serverUs(10), 50);
    clock.pong(60, serverUs(61), 62);
    clock.pong(70, serverUs(109), 110);
    assert.equal(clock.toLocalMs(serverUs(100)), 100);
    assert.equal(clock.errorMs, 1, 'half of the shortest, which was 2');
    assert.equal(clock.roundTripMs, 40, 'the median of 40, 2 and 40');
});

test('an answer that cannot be one does not disturb the clock', () => {
    const clock = knownClock();
    clock.pong(20, NaN, 21);
    clock.pong(20, serverUs(1), 19);
    clock.pong(NaN, serverUs(1), 19);
    assert.equal(clock.toLocalMs(serverUs(100)), 100);
});

test('the clock forgets: a better ping of long ago does not count for ever', () => {
    const clock = knownClock();
    for (let at = 100; at < 200; at += 1) clock.pong(at, serverUs(at + 3), at + 2);
    assert.equal(clock.toLocalMs(serverUs(100)), 98);
});

test('both accounts of a picture are joined by its RTP timestamp, whichever comes first', () => {
    for (const order of ['sent first', 'presented first']) {
        const journal = new FrameJournal(knownClock());
        const [first, second] = order === 'sent first'
            ? [journal.sent(sent()), journal.presented(presented())]
            : [journal.presented(presented()), journal.sent(sent())];
        assert.equal(first, null);
        assert.deepEqual(second, { sent: sent(), sentMs: 100, clockErrorMs: 1, receivedMs: 101, presentedMs: 103, expectedDisplayMs: 116 }, order);
    }
});

test('pictures of different timestamps are not joined, and no picture twice', () => {
    const journal = new FrameJournal(knownClock());
    journal.sent(sent());
    assert.equal(journal.presented(presented(90_001)), null);
    assert.notEqual(journal.presented(presented()), null);
    assert.equal(journal.presented(presented()), null);
    assert.equal(journal.presented({ presentationTime: 1, expectedDisplayTime: 2 }), null);
});

test('what never finds its partner is forgotten, so that nothing grows', () => {
    const journal = new FrameJournal(knownClock());
    for (let rtp = 0; rtp < 10_000; rtp += 1) journal.sent(sent({ rtp }));
    assert.equal(journal.presented(presented(0)), null);
    assert.notEqual(journal.presented(presented(9_999)), null);
});

/** @param {number} seq @param {number} presentedMs @param {object} [more] */
const frame = (seq, presentedMs, more = {}) => ({
    sent: sent({ seq, ...more }), sentMs: null, clockErrorMs: Infinity, receivedMs: null, presentedMs, expectedDisplayMs: presentedMs,
});

test('an input is answered by the first picture that the scene drew knowing of it', () => {
    const responses = new ResponseTimes();
    responses.acted(4, 1000);
    responses.acted(5, 1010);
    responses.acted(6, 1040);
    assert.deepEqual(responses.shown(frame(3, 1020)), []);
    assert.deepEqual(responses.shown(frame(5, 1050)), [{ seq: 4, atMs: 1000, ms: 50 }, { seq: 5, atMs: 1010, ms: 40 }]);
    assert.deepEqual(responses.shown(frame(5, 1080)), []);
    assert.deepEqual(responses.shown(frame(9, 1100)), [{ seq: 6, atMs: 1040, ms: 60 }]);
});

test('an input that changed nothing has no answer: the same picture once more is none', () => {
    const responses = new ResponseTimes();
    responses.acted(4, 1000);
    assert.deepEqual(responses.shown(frame(4, 1900, { scene_us: 0, readback_us: 0, convert_us: 0 })), []);
    assert.deepEqual(responses.shown(frame(4, 1950)), []);
});

test('a median and a p95 are values that were measured', () => {
    assert.equal(distribution([]), null);
    assert.deepEqual(distribution([7]), { p50: 7, p95: 7, count: 1 });
    const hundred = Array.from({ length: 100 }, (_, index) => 100 - index);
    assert.deepEqual(distribution(hundred), { p50: 50, p95: 95, count: 100 });
});

test('only recent values count', () => {
    const recent = new Recent(3);
    assert.equal(recent.distribution, null);
    for (const value of [1000, 1, 2, 3]) recent.add(value);
    assert.deepEqual(recent.distribution, { p50: 2, p95: 3, count: 3 });
});

/** @param {number} timestamp @param {object} [more] */
const reports = (timestamp, more = {}) => [
    { type: 'codec', id: 'c' },
    { type: 'inbound-rtp', kind: 'audio', timestamp, framesDecoded: 9999 },
    { type: 'inbound-rtp', kind: 'video', timestamp, framesDecoded: 60, framesDropped: 2, bytesReceived: 500_000, totalDecodeTime: 0.12, ...more },
    { type: 'candidate-pair', id: 'p1', nominated: true, currentRoundTripTime: 9 },
    { type: 'candidate-pair', id: 'p2', nominated: true, currentRoundTripTime: 0.004 },
    { type: 'transport', id: 't', selectedCandidatePairId: 'p2' },
];

test('the browser’s statistics give rates over the time between them', () => {
    const before = snapshotOf(reports(1000));
    const after = snapshotOf(reports(3000, { framesDecoded: 120, framesDropped: 5, bytesReceived: 1_500_000, totalDecodeTime: 0.24 }));
    assert.ok(before && after);
    assert.equal(after.framesDropped, 5);
    assert.equal(after.roundTripMs, 4);
    const rates = ratesBetween(before, after);
    assert.equal(rates?.framesPerSecond, 30);
    assert.equal(rates?.bitrateBps, 4_000_000);
    assert.ok(Math.abs((rates?.decodeMs ?? 0) - 2) < 1e-9);
});

test('without video, without time or without a picture there is no figure, rather than a wrong one', () => {
    assert.equal(snapshotOf([{ type: 'inbound-rtp', kind: 'audio' }]), null);
    const snapshot = snapshotOf(reports(1000));
    const later = snapshotOf(reports(2000));
    assert.ok(snapshot && later);
    assert.equal(ratesBetween(snapshot, snapshot), null);
    assert.deepEqual(ratesBetween(snapshot, later), { framesPerSecond: 0, bitrateBps: 0, decodeMs: null });
});
