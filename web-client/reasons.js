// @ts-check
/**
 * Why a session is over, in words for people, and for a scene's author above all. The codes are those of docs/viewer-protocol.md; one
 * that is not known here keeps the server's own sentence.
 *
 * @typedef {import('./api.js').EndReason} EndReason
 * @typedef {'open' | 'token' | 'grant'} Access  how this page came in: without being asked, by a token, or by a link with a right of its own
 * @typedef {object} Explanation
 * @property {string} title  one line
 * @property {string} text  what it means and what to do
 * @property {string} detail  the server's words, when they say more; may be empty
 * @property {string | null} again  what the button says; null when trying again cannot help
 * @property {boolean} isLogTelling  whether the scene's log may say why
 */

const START = 'Start again';
const RETRY = 'Try again';

/** @typedef {{ title: string, text: string, again: string | null }} Words */

/** Reasons that are not the scene's. @type {Readonly<Record<string, Words>>} */
const OURS = {
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
        text: 'The server has none at this address. It may have been deleted. The gallery shows those that it has.',
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
    too_many_requests: { title: 'That was too often', text: 'The server takes so many requests a minute from one address.', again: RETRY },
    worker_start_failed: {
        title: 'The session did not start',
        text: 'The server could not run the process for it.',
        again: RETRY,
    },
    draining: { title: 'The server is shutting down', text: 'It may be restarting. Try again in a moment.', again: RETRY },
    revoked: {
        title: 'Your access was taken back',
        text: 'Somebody who runs this session has ended the link that you came by. They can give you another.',
        again: null,
    },
    forbidden: {
        title: 'You may not open this',
        text: 'Your token lets you watch what others have started. Ask who runs the session, or the operator, for more.',
        again: null,
    },
    unauthorized: { title: 'Sign in', text: 'This server asks for a token. Its operator gives them out.', again: null },
    internal: { title: 'The server failed', text: 'This is not the scene’s fault. The server’s log says why.', again: START },
    sdp_without_h264: {
        title: 'This browser cannot play the picture',
        text: 'It does not receive H.264 video over WebRTC. Another browser will.',
        again: null,
    },
};

/** Who came by a link has no token to try. @type {Readonly<Record<string, Words>>} */
const BY_GRANT = {
    unauthorized: {
        title: 'This link is over',
        text: 'Links hold for a while, or until somebody takes them back. Ask who gave it to you for another.',
        again: null,
    },
    forbidden: {
        title: 'This link does not lead here',
        text: 'It is for another session, or only for watching. Ask who gave it to you for another.',
        again: null,
    },
    unknown_session: { title: 'This session is over', text: 'Ask who gave you the link for another.', again: null },
    session_ended: { title: 'This session is over', text: 'Ask who gave you the link for another.', again: null },
};

/** What the scene did: the server's words say what exactly, these what to do about it. @type {Readonly<Record<string, Words>>} */
const SCENES = {
    scene_trap: {
        title: 'The scene trapped',
        text: 'It panicked, or ran out of its stack or its bounds. Below are the innermost frames; a build with names tells which functions they are.',
        again: START,
    },
    scene_error: {
        title: 'The scene ended with an error',
        text: 'Its entry point returned an error instead of going on. What it printed before that is in its log.',
        again: START,
    },
    scene_unresponsive: {
        title: 'The scene computed for too long',
        text: 'It went on without waiting for anything, so nothing could be shown. Split long work, and wait for the next frame in between.',
        again: START,
    },
    scene_gpu_timeout: {
        title: 'The GPU was not done in time',
        text: 'Look for a shader with a loop that does not end, a very large dispatch or draw, or a shader that takes very long to compile.',
        again: START,
    },
    scene_device_lost: {
        title: 'The GPU device was lost',
        text: 'The driver gave up on what the scene asked for. If it happens again, take work out of the scene until it does not; what was taken ' +
            'out last is the cause.',
        again: START,
    },
    scene_limit: {
        title: 'The scene reached a limit',
        text: 'Every scene has a share of memory and of GPU objects. Let go of what is not needed any more, or ask the operator to raise this limit.',
        again: START,
    },
};

/** What the scene's file is, before anything runs. */
const UNRUNNABLE_CODES = new Set([
    'scene_not_wasm', 'scene_core_module', 'scene_import_not_offered', 'scene_no_entry_point', 'scene_uncompilable', 'scene_unrunnable',
]);
const UNRUNNABLE = {
    title: 'The scene cannot be run here',
    text: 'Its file is not a component that this server can run. The command scenecast check says the same before anybody opens it.',
    again: RETRY,
};
const SCENE = { title: 'The scene failed', text: 'It did something that it must not, and was stopped.', again: START };

/** The process that ran the scene: ours, but a scene can be the cause. @type {Readonly<Record<string, Words>>} */
const WORKERS = {
    worker_unresponsive: {
        title: 'The session stopped answering',
        text: 'The process that ran the scene gave no sign of life, and was ended. A scene that keeps the GPU’s driver busy can be the cause.',
        again: START,
    },
};
const WORKER = { title: 'The session broke off', text: 'The process that ran it has ended unexpectedly.', again: START };

/**
 * @param {EndReason} reason
 * @param {Access} [access]
 * @returns {Explanation}
 */
export function explain({ code, message }, access = 'open') {
    const ours = (access === 'grant' ? BY_GRANT[code] : undefined) ?? OURS[code];
    if (ours !== undefined) return { ...ours, detail: '', isLogTelling: code === 'finished' };
    const said = { detail: message, isLogTelling: true };
    if (UNRUNNABLE_CODES.has(code)) return { ...UNRUNNABLE, ...said };
    if (code.startsWith('scene_')) return { ...(SCENES[code] ?? SCENE), ...said };
    if (code.startsWith('worker_')) return { ...(WORKERS[code] ?? WORKER), ...said };
    return { title: 'The session is over', text: message, detail: '', again: START, isLogTelling: true };
}
