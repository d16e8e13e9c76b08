// @ts-check
/**
 * Why a session is over, in words for people. The codes are those of docs/viewer-protocol.md; one that is not known here keeps the
 * server's own sentence.
 *
 * @typedef {import('./api.js').EndReason} EndReason
 * @typedef {object} Explanation
 * @property {string} title  one line
 * @property {string} text  what it means and what to do
 * @property {string} detail  the server's words, when they say more; may be empty
 * @property {string | null} again  what the button says; null when trying again cannot help
 */

const START = 'Start again';
const RETRY = 'Try again';

/** @type {Readonly<Record<string, { title: string, text: string, again: string | null }>>} */
const KNOWN = {
    stopped: { title: 'The session was ended', text: 'Somebody ended it.', again: START },
    deleted: { title: 'The session was ended', text: 'Somebody ended it.', again: START },
    nobody_watching: {
        title: 'This session is over',
        text: 'Nobody was watching any more. A new one shows the same scene.',
        again: START,
    },
    finished: { title: 'The scene has come to its end', text: 'It had no more to show.', again: START },
    unknown_session: {
        title: 'This session is over',
        text: 'Sessions end a while after the last viewer has left. A new one shows the same scene.',
        again: START,
    },
    session_ended: { title: 'This session is over', text: 'A new one shows the same scene.', again: START },
    unknown_scene: {
        title: 'There is no such scene',
        text: 'The server has none of this name. The gallery shows those that it has.',
        again: null,
    },
    connection_lost: {
        title: 'The connection was lost',
        text: 'The server could not be reached again. The session may still be there.',
        again: RETRY,
    },
    unreachable: {
        title: 'The server does not answer',
        text: 'It may be restarting, or this device may be offline.',
        again: RETRY,
    },
    no_picture: {
        title: 'No picture came',
        text: 'The server answered, but video did not get through. A firewall may be blocking UDP.',
        again: RETRY,
    },
    too_many_sessions: {
        title: 'The server is busy',
        text: 'It runs as many sessions as it may. One will be free when somebody leaves.',
        again: RETRY,
    },
    too_many_viewers: { title: 'The session is full', text: 'It has as many viewers as it may.', again: RETRY },
    worker_start_failed: {
        title: 'The session did not start',
        text: 'The server could not run the process for it.',
        again: RETRY,
    },
    draining: { title: 'The server is shutting down', text: 'Try again in a moment.', again: RETRY },
    sdp_without_h264: {
        title: 'This browser cannot play the picture',
        text: 'It does not receive H.264 video over WebRTC. Another browser will.',
        again: null,
    },
};

/** What the scene's file is, before anything runs. */
const UNRUNNABLE_CODES = new Set([
    'scene_not_wasm', 'scene_core_module', 'scene_import_not_offered', 'scene_no_entry_point', 'scene_uncompilable', 'scene_unrunnable',
]);

/** The server's words matter for these, because they name what went wrong inside. */
const UNRUNNABLE = { title: 'The scene cannot be run here', text: 'Its file is not a component that this server can run.' };
const SCENE = { title: 'The scene failed', text: 'It did something that it must not, and was stopped.' };
const WORKER = { title: 'The session broke off', text: 'The process that ran it has ended unexpectedly.' };

/**
 * @param {EndReason} reason
 * @returns {Explanation}
 */
export function explain({ code, message }) {
    const known = KNOWN[code];
    if (known !== undefined) return { ...known, detail: '' };
    if (UNRUNNABLE_CODES.has(code)) return { ...UNRUNNABLE, detail: message, again: RETRY };
    if (code.startsWith('scene_')) return { ...SCENE, detail: message, again: START };
    if (code.startsWith('worker_')) return { ...WORKER, detail: message, again: START };
    return { title: 'The session is over', text: message, detail: '', again: START };
}
