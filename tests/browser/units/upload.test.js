// @ts-check
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Problem } from '../../../web-client/api.js';
import { MAX_UNFINISHED, MAX_WAITS, PICTURE_PAUSES_MS, UploadQueue } from '../../../web-client/upload.js';

/** Lets everything run that can run without time going by. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

/** @param {string} name @param {string | null} [thumbnail] @returns {import('../../../web-client/api.js').Scene} */
const scene = (name, thumbnail = null) => ({
    id: name, name, bytes: 1, uploaded_at: null, owned: true, imports: [], entry_point: 'start', warnings: [], thumbnail, view: `/view/${name}`,
});

/**
 * A queue whose files travel when the test says so.
 *
 * @param {{ getScene?: (id: string) => Promise<any> }} [how]
 */
function world({ getScene = async (id) => scene(id) } = {}) {
    /** @type {{ name: string, on: any, resolve: (uploaded: any) => void, reject: (error: unknown) => void }[]} */
    const sent = [];
    /** @type {{ ms: number, resolve: () => void }[]} */
    const waits = [];
    /** @type {string[]} */
    const log = [];
    /** @type {Map<string, import('../../../web-client/upload.js').Upload>} */
    const uploads = new Map();
    const queue = new UploadQueue(
        {
            send: (_file, name, on, signal) => new Promise((resolve, reject) => {
                sent.push({ name, on, resolve, reject });
                signal.addEventListener('abort', () => reject(signal.reason));
            }),
            getScene,
            wait: (ms) => new Promise((resolve) => waits.push({ ms, resolve })),
            nowMs: () => 0,
        },
        (upload) => {
            uploads.set(upload.name, upload);
            log.push(`${upload.name} ${upload.state.stage}`);
        },
    );
    const add = (/** @type {string[]} */ ...names) => queue.add(names.map((name) => new File(['x'], name)));
    const answer = async (/** @type {any} */ answered) => {
        const last = sent.at(-1);
        assert.ok(last, 'a file travels');
        if (answered instanceof Error) last.reject(answered);
        else last.resolve(answered);
        await settle();
    };
    const upload = (/** @type {string} */ name) => {
        const found = uploads.get(name);
        assert.ok(found, name);
        return found;
    };
    return { queue, sent, waits, log, add, answer, upload };
}

const refusal = () => new Problem(422, 'scene_not_wasm', 'it is not WebAssembly');

test('files travel one after the other, each is sent, checked and then done', async () => {
    const { log, sent, add, answer } = world();
    add('one.wasm', 'two.wasm');
    await settle();
    assert.equal(sent.length, 1, 'the second waits for the first');
    sent[0]?.on.progress(0.5);
    sent[0]?.on.sent();
    await answer({ scene: scene('one', '/picture'), isNew: true });
    await answer({ scene: scene('two', '/picture'), isNew: false });
    assert.deepEqual(log, [
        'one queued', 'one sending', 'two queued', 'one sending', 'one checking', 'one done', 'two sending', 'two done',
    ]);
});

test('a file that is refused keeps its reason, and the next one goes on', async () => {
    const { queue, sent, add, answer, upload } = world();
    add('bad.wasm', 'good.wasm');
    await settle();
    await answer(refusal());
    const { state } = upload('bad');
    assert.ok(state.stage === 'failed' && state.problem.code === 'scene_not_wasm');
    assert.equal(sent.length, 2);
    await answer({ scene: scene('good', '/picture'), isNew: true });
    assert.equal(queue.isBusy, false);
});

test('a file that is cancelled is gone at once, whether it waits or travels, and whatever comes later', async () => {
    const { queue, sent, add, upload } = world();
    add('one.wasm', 'two.wasm', 'three.wasm');
    await settle();
    queue.remove(upload('two'));
    queue.remove(upload('one'));
    sent[0]?.on.progress(0.9);
    await settle();
    assert.equal(upload('one').state.stage, 'gone');
    assert.deepEqual(sent.map(({ name }) => name), ['one', 'three']);
    queue.remove(upload('three'));
    await settle();
    assert.equal(queue.isBusy, false);
});

test('a server that asks to wait is asked again after that time, and not for ever', async () => {
    const { waits, sent, add, answer, upload } = world();
    add('one.wasm');
    await settle();
    for (let wait = 0; wait < MAX_WAITS; wait += 1) {
        await answer(new Problem(429, 'too_many_requests', 'slower', 5_000));
        assert.equal(upload('one').state.stage, 'waiting');
        assert.equal(waits.at(-1)?.ms, 5_000);
        waits.at(-1)?.resolve();
        await settle();
    }
    await answer(new Problem(429, 'too_many_requests', 'slower', 5_000));
    assert.equal(upload('one').state.stage, 'failed');
    assert.equal(sent.length, 1 + MAX_WAITS);
});

test('a file that waits because the server asked for it can be cancelled, and the next one goes on', async () => {
    const { queue, sent, add, answer, upload } = world();
    add('one.wasm', 'two.wasm');
    await settle();
    await answer(new Problem(429, 'too_many_requests', 'slower', 5_000));
    queue.remove(upload('one'));
    await settle();
    assert.deepEqual(sent.map(({ name }) => name), ['one', 'two']);
});

test('a wait that nobody would sit through is a refusal', async () => {
    const { add, answer, upload } = world();
    add('one.wasm');
    await settle();
    await answer(new Problem(429, 'too_many_requests', 'slower', 3_600_000));
    assert.equal(upload('one').state.stage, 'failed');
});

test('a scene without a picture can be watched at once, and its picture is shown when there is one', async () => {
    let looks = 0;
    const { waits, add, answer, upload } = world({ getScene: async (id) => scene(id, ++looks > 2 ? '/picture' : null) });
    add('one.wasm');
    await settle();
    await answer({ scene: scene('one'), isNew: true });
    const first = upload('one').state;
    assert.ok(first.stage === 'done' && first.isPictureExpected);
    for (let look = 0; look < 3; look += 1) {
        waits.pop()?.resolve();
        await settle();
    }
    const last = upload('one').state;
    assert.ok(last.stage === 'done' && last.scene.thumbnail === '/picture' && !last.isPictureExpected);
    assert.equal(waits.length, 0);
});

test('a picture that does not come is not waited for without end', async () => {
    const { waits, add, answer, upload } = world();
    add('one.wasm');
    await settle();
    await answer({ scene: scene('one'), isNew: true });
    let looks = 0;
    for (let wait = waits.pop(); wait !== undefined; wait = waits.pop()) {
        looks += 1;
        wait.resolve();
        await settle();
    }
    assert.equal(looks, PICTURE_PAUSES_MS.length);
    const { state } = upload('one');
    assert.ok(state.stage === 'done' && !state.isPictureExpected);
});

test('a file that failed can be tried again', async () => {
    const { queue, sent, add, answer, upload } = world();
    add('one.wasm');
    await settle();
    await answer(new Problem(0, 'unreachable', 'The server does not answer.'));
    queue.retry(upload('one'));
    await settle();
    assert.equal(sent.length, 2);
    await answer({ scene: scene('one', '/picture'), isNew: true });
    assert.equal(upload('one').state.stage, 'done');
});

test('more files than anybody means to add are refused with one word, not kept', async () => {
    const { queue, log } = world();
    queue.add(Array.from({ length: MAX_UNFINISHED + 20 }, (_, index) => new File(['x'], `${index}.wasm`)));
    assert.equal(log.filter((line) => line.endsWith('queued')).length, MAX_UNFINISHED);
    assert.equal(log.filter((line) => line.endsWith('failed')).length, 1);
});
