// @ts-check
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Problem } from '../../../web-client/api.js';
import { FIRST_PICTURE_MS, MAX_WAITS, RETRY_DELAYS_MS, TRANSITIONS, ViewerSession } from '../../../web-client/session.js';

const SIZE = { width: 1280, height: 720 };

/** Lets everything run that can run without time going by. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

/**
 * A session in a world of its own, where time goes by only on demand.
 *
 * @param {{ id?: string | null, create?: () => Promise<any>, connect?: () => never, open?: (attempt: number) => Promise<void>, get?: () => Promise<any> }} [how]
 */
function world({ id = null, create, connect, open, get } = {}) {
    /** @type {string[]} */
    const log = [];
    /** @type {{ handlers: import('../../../web-client/session.js').ConnectionHandlers, closed: boolean }[]} */
    const links = [];
    /** @type {{ ms: number, resolve: () => void }[]} */
    const waits = [];
    const session = new ViewerSession(
        'orbit',
        id,
        {
            createSession: create ?? (async (scene, size) => {
                log.push(`create ${scene} ${size.width}x${size.height}`);
                return /** @type {any} */ ({ id: `s${log.filter((line) => line.startsWith('create')).length}` });
            }),
            getSession: get ?? (async () => /** @type {any} */ ({ ended: null })),
            connect: (endpoint, handlers) => {
                if (connect) connect();
                log.push(`connect ${endpoint}`);
                const link = { handlers, closed: false };
                links.push(link);
                return {
                    open: () => (open ? open(links.length) : Promise.resolve()),
                    close: () => { link.closed = true; },
                    send: () => !link.closed,
                    stats: async () => /** @type {any} */ (new Map()),
                };
            },
            wait: (ms) => new Promise((resolve) => waits.push({ ms, resolve })),
        },
        {
            onState: (state) => log.push(state),
            onWait: ({ code }, ms) => log.push(`wait ${code} ${ms}`),
            onCreated: (created) => log.push(`created ${created}`),
            onStream: () => {},
            onOpen: () => log.push('open'),
            onMessage: ({ type }) => log.push(`message ${type}`),
            onClosed: () => log.push('closed'),
        },
    );
    const link = () => {
        const last = links.at(-1);
        assert.ok(last, 'a connection was made');
        return last;
    };
    /** Lets one pause before an attempt go by. */
    const retry = async () => {
        const index = waits.findIndex(({ ms }) => ms !== FIRST_PICTURE_MS);
        assert.notEqual(index, -1, 'it waits before it tries again');
        const [wait] = waits.splice(index, 1);
        wait?.resolve();
        await settle();
        return wait?.ms;
    };
    return { session, log, links, link, waits, retry };
}

test('a session is created at the window’s size, connected, and live with its first picture', async () => {
    const { session, log, link } = world();
    void session.start(SIZE);
    await settle();
    assert.equal(session.state, 'connecting');
    link().handlers.onOpen();
    session.pictureShown();
    assert.deepEqual(log, ['create orbit 1280x720', 'created s1', 'connect /whep/s1', 'open', 'live']);
});

test('a session that exists is joined, not created', async () => {
    const { session, log } = world({ id: 'abc' });
    void session.start(SIZE);
    await settle();
    assert.deepEqual(log, ['connect /whep/abc']);
});

test('a browser that makes no connections is told so, and not left waiting', async () => {
    const connect = () => { throw new ReferenceError('RTCPeerConnection is not defined'); };
    const { session, log } = world({ id: 'abc', connect });
    void session.start(SIZE);
    await settle();
    assert.deepEqual(log, ['ended']);
    assert.deepEqual(session.end, { code: 'page_failed', message: 'RTCPeerConnection is not defined' });
    assert.ok(session.isRejoinable);
});

test('the server’s last message ends the session with its reason, once', async () => {
    const { session, link } = world();
    void session.start(SIZE);
    await settle();
    session.pictureShown();
    link().handlers.onMessage({ type: 'ended', code: 'scene_trap', message: 'the scene trapped' });
    link().handlers.onLost('the events channel closed');
    await settle();
    assert.equal(session.state, 'ended');
    assert.deepEqual(session.end, { code: 'scene_trap', message: 'the scene trapped' });
    assert.equal(link().closed, true);
});

test('starting again makes a new session of the same scene', async () => {
    const { session, log, link } = world();
    void session.start(SIZE);
    await settle();
    link().handlers.onMessage({ type: 'ended', code: 'finished', message: '' });
    await settle();
    log.length = 0;
    void session.startAgain(SIZE);
    await settle();
    session.pictureShown();
    assert.deepEqual(log, ['connecting', 'create orbit 1280x720', 'created s1', 'connect /whep/s1', 'live']);
    assert.equal(session.end, null);
});

test('a lost connection is tried again, and is live again without a new session', async () => {
    const { session, log, link, retry } = world();
    void session.start(SIZE);
    await settle();
    session.pictureShown();
    log.length = 0;
    link().handlers.onLost('the connection failed');
    await settle();
    await retry();
    session.pictureShown();
    assert.deepEqual(log, ['closed', 'reconnecting', 'connect /whep/s1', 'live']);
});

test('attempts get rarer, end, and say so; the next one by hand joins the same session', async () => {
    const { session, log, link, links, retry } = world({
        open: async (attempt) => { if (attempt > 1) throw new Problem(0, 'unreachable', 'The server does not answer.'); },
    });
    void session.start(SIZE);
    await settle();
    session.pictureShown();
    link().handlers.onLost('the connection failed');
    await settle();
    const pauses = [];
    while (session.state === 'reconnecting') pauses.push(await retry());
    assert.deepEqual(pauses, RETRY_DELAYS_MS);
    assert.equal(session.end?.code, 'unreachable');
    assert.ok(links.every(({ closed }) => closed));
    log.length = 0;
    void session.startAgain(SIZE);
    await settle();
    assert.deepEqual(log, ['connecting', 'connect /whep/s1', 'closed', 'reconnecting']);
});

test('after a good connection the pauses are short again', async () => {
    const { session, link, retry } = world();
    void session.start(SIZE);
    await settle();
    for (let loss = 0; loss < 20; loss += 1) {
        session.pictureShown();
        link().handlers.onLost('the connection failed');
        await settle();
        assert.equal(await retry(), RETRY_DELAYS_MS[0]);
    }
    assert.equal(session.state, 'reconnecting');
});

test('a refused offer ends the session at once, with the reason that the server remembers', async () => {
    const { session, links } = world({
        id: 'abc',
        open: async () => { throw new Problem(410, 'session_ended', 'The session has ended'); },
        get: async () => ({ ended: { code: 'worker_died', message: 'the worker died' } }),
    });
    await session.start(SIZE);
    assert.deepEqual(session.end, { code: 'worker_died', message: 'the worker died' });
    assert.equal(links.length, 1);
});

test('a scene that does not exist is said so, not tried again', async () => {
    const { session, links } = world({ create: async () => { throw new Problem(404, 'unknown_scene', 'There is no scene of this name'); } });
    await session.start(SIZE);
    assert.equal(session.state, 'ended');
    assert.equal(session.end?.code, 'unknown_scene');
    assert.equal(links.length, 0);
});

const busy = () => new Problem(503, 'too_many_sessions', 'As many sessions as allowed are running', 10_000);

test('a busy server is asked again when it said, and the session begins when there is room', async () => {
    let attempts = 0;
    const { session, log, retry } = world({
        create: async () => {
            if (++attempts < 3) throw busy();
            return { id: 's1' };
        },
    });
    void session.start(SIZE);
    await settle();
    assert.equal(session.state, 'connecting');
    assert.equal(await retry(), 10_000);
    assert.equal(await retry(), 10_000);
    assert.deepEqual(log, ['wait too_many_sessions 10000', 'wait too_many_sessions 10000', 'created s1', 'connect /whep/s1']);
});

test('a server that stays busy is not asked for ever', async () => {
    const { session, retry } = world({ create: async () => { throw busy(); } });
    void session.start(SIZE);
    await settle();
    for (let wait = 0; wait < MAX_WAITS; wait += 1) await retry();
    assert.equal(session.end?.code, 'too_many_sessions');
});

test('a server that restarts while it is waited for is asked again, too', async () => {
    const answers = [busy(), new Problem(0, 'unreachable', 'The server does not answer.')];
    const { session, log, retry } = world({
        create: async () => {
            const answer = answers.shift();
            if (answer !== undefined) throw answer;
            return { id: 's1' };
        },
    });
    void session.start(SIZE);
    await settle();
    await retry();
    await retry();
    assert.deepEqual(log.slice(2), ['created s1', 'connect /whep/s1']);
});

test('leaving while the server is waited for ends the waiting', async () => {
    const { session, log, retry } = world({ create: async () => { throw busy(); } });
    void session.start(SIZE);
    await settle();
    session.leave();
    await retry();
    assert.deepEqual(log, ['wait too_many_sessions 10000']);
});

test('an offer that the server puts off is made again when it said', async () => {
    const { session, log, retry } = world({
        id: 'abc',
        open: async (attempt) => { if (attempt === 1) throw new Problem(503, 'too_many_viewers', 'full', 10_000); },
    });
    void session.start(SIZE);
    await settle();
    assert.equal(await retry(), 10_000);
    assert.deepEqual(log, ['connect /whep/abc', 'closed', 'reconnecting', 'wait too_many_viewers 10000', 'connect /whep/abc']);
});

test('who was not let in joins the same session after signing in', async () => {
    const { session, log } = world({
        id: 'abc',
        open: async (attempt) => { if (attempt === 1) throw new Problem(401, 'unauthorized', 'A valid token is needed'); },
    });
    await session.start(SIZE);
    assert.equal(session.end?.code, 'unauthorized');
    log.length = 0;
    void session.startAgain(SIZE);
    await settle();
    assert.deepEqual(log, ['connecting', 'connect /whep/abc']);
});

test('a connection that shows nothing is given up', async () => {
    const { session, waits, links } = world();
    void session.start(SIZE);
    await settle();
    waits.find(({ ms }) => ms === FIRST_PICTURE_MS)?.resolve();
    await settle();
    assert.equal(session.state, 'reconnecting');
    assert.equal(links[0]?.closed, true);
});

test('leaving closes the connection, and nothing happens afterwards', async () => {
    const { session, log, link } = world();
    void session.start(SIZE);
    await settle();
    session.leave();
    assert.equal(link().closed, true);
    log.length = 0;
    link().handlers.onMessage({ type: 'ended', code: 'stopped', message: '' });
    session.pictureShown();
    await settle();
    assert.deepEqual(log, []);
});

test('leaving while the session is being created makes no connection', async () => {
    /** @type {(info: any) => void} */
    let created = () => {};
    const { session, links } = world({ create: () => new Promise((resolve) => { created = resolve; }) });
    void session.start(SIZE);
    session.leave();
    created({ id: 's1' });
    await settle();
    assert.equal(links.length, 0);
});

test('only an ended session can start again', async () => {
    const { session } = world();
    void session.start(SIZE);
    await assert.rejects(session.startAgain(SIZE), /cannot go from connecting to connecting/);
    assert.deepEqual(Object.keys(TRANSITIONS).sort(), ['connecting', 'ended', 'live', 'reconnecting']);
});
