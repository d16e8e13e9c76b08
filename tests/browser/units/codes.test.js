// @ts-check
/** The server's codes, as its sources name them, against the page's words for them. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Problem } from '../../../web-client/api.js';
import { explain } from '../../../web-client/reasons.js';
import { explainRefusal } from '../../../web-client/refusals.js';

/** @param {string} path  in the repository */
const source = (path) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');

/**
 * The functions of a Rust source that are called so.
 *
 * @param {string} text
 * @param {RegExp} head
 */
function functions(text, head) {
    return [...text.matchAll(new RegExp(`^    (?:pub )?(?:const )?fn ${head.source}.*?^    \\}$`, 'gms'))].map(([body]) => body).join('\n');
}

/**
 * The code of each variant. A variant whose code cannot be read is an error here, not one code fewer.
 *
 * @param {string} path  of a Rust source
 * @param {RegExp} head  of the functions that match variants with codes
 * @returns {Map<string, string>}
 */
function codesIn(path, head) {
    const arms = functions(source(path), head);
    const codes = new Map([...arms.matchAll(/Self::(\w+)[^=]*? =>\s*[{(\s]*"([a-z0-9_]+)"/g)].map(([, variant = '', code = '']) => [variant, code]));
    const variants = [...arms.matchAll(/Self::(\w+)[^=]*? =>(?! \w+\.code\(\))/g)].map(([, variant = '']) => variant);
    assert.ok(variants.length > 0, `${path} has codes`);
    assert.deepEqual([...codes.keys()], variants, path);
    return codes;
}

const REFUSALS = codesIn('streamer/src/error.rs', /row/);
const ENDS = [...codesIn('streamer/src/session/end.rs', /code/).values(), ...codesIn('renderer/protocol/src/end.rs', /code/).values()];

/** What the viewer page never hears as the answer to starting or joining a session. */
const NEVER_OF_A_SESSION = new Map([
    ['library_full', 'only adding a scene has it'],
    ['no_picture', 'only pictures have it; the page calls its own missing video so'],
    ['too_many_grants', 'only the share panel asks for links, and shows the server’s sentence'],
    ['unknown_viewer', 'a viewer that the server has dropped sees a lost connection, and joins anew'],
]);

/** Each is the page's own word for what no server said. */
const PAGES_OWN = ['unreachable', 'connection_lost', 'no_picture', 'page_failed', 'bad_answer', 'http_502', 'ended'];

const unknown = explain({ code: 'moon_phase', message: '' });
const unknownRefusal = explainRefusal(new Problem(422, 'moon_phase', ''), 1);

test('the page has words for every code with which a session ends, or does not begin', () => {
    const heard = [...REFUSALS.values()].filter((code) => !NEVER_OF_A_SESSION.has(code));
    assert.ok(heard.includes('unknown_scene') && ENDS.includes('worker_died') && ENDS.includes('scene_trap'));
    for (const code of [...heard, ...ENDS, 'revoked', ...PAGES_OWN]) {
        assert.notEqual(explain({ code, message: '' }).title, unknown.title, code);
    }
});

test('what is excepted is still a code of the server', () => {
    for (const code of NEVER_OF_A_SESSION.keys()) assert.ok([...REFUSALS.values()].includes(code), code);
});

test('a session that never began is not said to be over', () => {
    const ofSessions = ['unknown_session', 'session_ended'];
    const before = [...REFUSALS.values()].filter((code) => !ofSessions.includes(code) && !ENDS.includes(code));
    for (const code of [...before, 'unreachable', 'page_failed', 'bad_answer', 'http_502', 'moon_phase']) {
        const { title, again } = explain({ code, message: '' });
        assert.doesNotMatch(title, /session (is over|was ended|broke off)|scene (failed|trapped)/i, code);
        assert.notEqual(again, 'Start again', code);
    }
});

test('the page has words for every code with which a scene is not taken', () => {
    const listed = [
        source('streamer/src/http/api/scenes.rs').match(/\bUploadProblems: ([\w,\s]+);/)?.[1],
        source('streamer/src/http/api/problems.rs').match(/const COMMON: &\[Code\] =\s*&\[([^\]]+)\]/)?.[1],
    ];
    for (const list of listed) {
        assert.ok(list, 'the server says how an upload can fail');
        for (const [variant] of list.replaceAll('Code::', '').matchAll(/\w+/g)) {
            const code = REFUSALS.get(variant);
            assert.ok(code, variant);
            assert.notEqual(explainRefusal(new Problem(422, code, ''), 1).title, unknownRefusal.title, code);
        }
    }
    for (const code of ['draining', 'unreachable', 'file_unreadable', 'too_many_files', 'page_failed', 'bad_answer', 'http_413', 'http_502']) {
        assert.notEqual(explainRefusal(new Problem(0, code, ''), 1).title, unknownRefusal.title, code);
    }
});
