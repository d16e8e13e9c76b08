// @ts-check
/**
 * Why a session is over, or did not begin, in words for people, and for a scene's author above all. The codes are those of
 * docs/viewer-protocol.md and those that this page has of its own. One that is not known here keeps the server's own sentence, below a
 * title that claims nothing: neither that a session was there, nor whose fault it is.
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

/** Reasons that are not the scene's, where these words say all that there is to say. @type {Readonly<Record<string, Words>>} */
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
    ended: { title: 'This session is over', text: 'The server did not say why. A new one shows the same scene.', again: START },
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
        text: 'It runs as many sessions as it may, in all or for you. One will be free when somebody leaves.',
        again: RETRY,
    },
    too_many_viewers: { title: 'The session is full', text: 'It has as many viewers as it may.', again: RETRY },
    too_many_pending_offers: { title: 'The server is busy', text: 'Many viewers are connecting at this moment.', again: RETRY },
    too_many_requests: {
        title: 'That was too much at once',
        text: 'The server takes so many requests a minute from one address, and works on so many scenes at a time.',
        again: RETRY,
    },
    request_timeout: {
        title: 'The request took too long',
        text: 'It did not reach the server in time. The network may be slow.',
        again: RETRY,
    },
    worker_start_failed: {
        title: 'The session did not start',
        text: 'The server could not run the process for it.',
        again: RETRY,
    },
    no_gpu: {
        title: 'The server has no GPU at the moment',
        text: 'It cannot draw any scene now, and goes on looking for its GPU. Try again in a moment.',
        again: RETRY,
    },
    disk_full: {
        title: 'The server’s disk is full',
        text: 'It has no room for the compiled scene. Only its operator can change that.',
        again: RETRY,
    },
    store_unavailable: {
        title: 'The server cannot reach its scenes',
        text: 'Where it keeps uploaded scenes does not answer. Try again in a moment.',
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
    internal: { title: 'The server failed', text: 'This is not the scene’s fault. The server’s log says why.', again: RETRY },
    sdp_without_h264: {
        title: 'This browser cannot play the picture',
        text: 'It does not receive H.264 video over WebRTC. Another browser will.',
        again: null,
    },
};

const NOT_UNDERSTOOD = {
    title: 'The server does not understand this page',
    text: 'The page may be older than the server. Load it anew, without what the browser has kept of it.',
    again: null,
};
const NOT_OURS = {
    title: 'The answer is not Scenecast’s',
    text: 'Something between this page and the server, such as a proxy, has answered in its place.',
    again: RETRY,
};

/** What was refused before anything began: the server's words say what exactly. @type {Readonly<Record<string, Words>>} */
const REFUSALS = {
    foreign_origin: {
        title: 'The server does not take this page for its own',
        text: 'It knows itself by another address, as behind a proxy that changes the host name. Its operator can allow this one.',
        again: null,
    },
    foreign_host: {
        title: 'The server does not answer to this name',
        text: 'It may be there under another. Its operator can allow this one.',
        again: null,
    },
    bad_request: NOT_UNDERSTOOD,
    not_found: NOT_UNDERSTOOD,
    method_not_allowed: NOT_UNDERSTOOD,
    unsupported_media_type: NOT_UNDERSTOOD,
    body_too_large: NOT_UNDERSTOOD,
    bad_sdp: {
        title: 'The server does not understand this browser',
        text: 'It can make no connection of what the browser offered. Load the page anew, or try another browser.',
        again: null,
    },
    bad_answer: NOT_OURS,
    page_failed: {
        title: 'This page has failed',
        text: 'The browser may be too old, or does not let pages receive video over WebRTC. Load the page anew, or try another browser.',
        again: RETRY,
    },
};
/** A status without a code: no Scenecast answers so. */
const BARE_STATUS = /^http_\d+$/;

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

const UNRUNNABLE = {
    title: 'The scene cannot be run here',
    text: 'Its file is not a component that this server can run. The command scenecast check says the same before anybody opens it.',
    again: RETRY,
};
const BROKE_OFF = 'The session broke off';

/**
 * What the scene is or did, or the process that ran it: the server's words say what exactly, these what to do about it. That process is
 * ours, but a scene can be the cause, so the log may tell.
 *
 * @type {Readonly<Record<string, Words>>}
 */
const FAILURES = {
    scene_not_wasm: UNRUNNABLE,
    scene_core_module: UNRUNNABLE,
    scene_import_not_offered: UNRUNNABLE,
    scene_no_entry_point: UNRUNNABLE,
    scene_uncompilable: UNRUNNABLE,
    scene_unrunnable: UNRUNNABLE,
    scene_too_large: {
        title: UNRUNNABLE.title,
        text: 'Its file is larger than this server takes. A release build without debug information is often a tenth of it.',
        again: RETRY,
    },
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
    worker_died: { title: BROKE_OFF, text: 'The process that ran the scene has ended unexpectedly.', again: START },
    worker_protocol: {
        title: BROKE_OFF,
        text: 'The process that ran the scene said what it must not, and was ended. The server’s log says more.',
        again: START,
    },
    worker_internal: {
        title: BROKE_OFF,
        text: 'The process that ran the scene could not go on. That is the server’s fault, or its machine’s, not the scene’s.',
        again: START,
    },
    worker_unresponsive: {
        title: 'The session stopped answering',
        text: 'The process that ran the scene gave no sign of life, and was ended. A scene that keeps the GPU’s driver busy can be the cause.',
        again: START,
    },
};

/**
 * @param {EndReason} reason
 * @param {Access} [access]
 * @returns {Explanation}
 */
export function explain({ code, message }, access = 'open') {
    const ours = (access === 'grant' ? BY_GRANT[code] : undefined) ?? OURS[code];
    if (ours !== undefined) return { ...ours, detail: '', isLogTelling: code === 'finished' };
    const refusal = REFUSALS[code] ?? (BARE_STATUS.test(code) ? NOT_OURS : undefined);
    if (refusal !== undefined) return { ...refusal, detail: message, isLogTelling: false };
    const failure = FAILURES[code];
    if (failure !== undefined) return { ...failure, detail: message, isLogTelling: true };
    return { title: 'The scene cannot be shown', text: message, detail: '', again: RETRY, isLogTelling: true };
}
