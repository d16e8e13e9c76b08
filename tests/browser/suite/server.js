// @ts-check
/** Starts the built server for the tests, and watches its worker processes from outside. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
export const BINARY = process.env.SCENECAST ?? path.join(ROOT, 'target/release/scenecast');
export const SCENES = process.env.SCENECAST_SCENES ?? path.join(ROOT, 'target/scenes');

/** The first start on a busy machine. */
const START_MS = 30_000;
/** Sessions in progress are ended in order. */
const STOP_MS = 15_000;

/** How long a session without a viewer lives here. */
export const GRACE_SECONDS = 2;

/**
 * @typedef {object} Server
 * @property {string} url  without a slash at its end
 * @property {() => number[]} workers  process ids
 * @property {(path: string, init?: RequestInit) => Promise<Response>} fetch
 * @property {() => Promise<number | null>} stop  in order; gives the exit code
 * @property {() => string} log
 */

/**
 * @param {string[]} options  further options of `scenecast serve`
 * @returns {Promise<Server>}
 */
export async function startServer(options = []) {
    assert.ok(existsSync(BINARY), `${BINARY} is missing: make build`);
    assert.ok(existsSync(SCENES), `${SCENES} is missing: make scenes`);
    // The tests count the workers of sessions, so none waits for one unless a test wants that.
    const warm = options.includes('--warm-workers') ? [] : ['--warm-workers', '0'];
    const data = mkdtempSync(path.join(os.tmpdir(), 'scenecast-data-'));
    const process_ = spawn(
        BINARY,
        ['serve', '--listen', '127.0.0.1:0', '--webrtc-udp-port', '0', '--scenes', SCENES, '--data', data,
            '--session-grace-seconds', String(GRACE_SECONDS), ...warm, ...options],
        { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    let log = '';
    process_.stderr.setEncoding('utf8').on('data', (text) => { log += text; });
    const exited = new Promise((resolve) => process_.once('exit', (code) => resolve(code)));
    const url = await new Promise((resolve, reject) => {
        let out = '';
        const timer = setTimeout(() => reject(new Error(`the server did not say that it is ready:\n${out}${log}`)), START_MS);
        process_.stdout.setEncoding('utf8').on('data', (text) => {
            out += text;
            const address = out.match(/https?:\/\/[^\s/]+/);
            if (address === null) return;
            clearTimeout(timer);
            resolve(address[0]);
        });
        process_.once('error', reject);
        void exited.then((code) => reject(new Error(`the server exited with ${code}:\n${log}`)));
    });
    const pid = process_.pid;
    assert.ok(pid !== undefined);
    return {
        url,
        workers: () => children(pid).filter((child) => commandLine(child).includes('worker')),
        fetch: (where, init) => fetch(url + where, init),
        stop: async () => {
            process_.kill('SIGTERM');
            const timer = setTimeout(() => process_.kill('SIGKILL'), STOP_MS);
            const code = await exited;
            clearTimeout(timer);
            rmSync(data, { recursive: true, force: true });
            return /** @type {number | null} */ (code);
        },
        log: () => log,
    };
}

/**
 * @param {number} parent
 * @returns {number[]}
 */
function children(parent) {
    return readdirSync('/proc')
        .map(Number)
        .filter((pid) => Number.isInteger(pid) && parentOf(pid) === parent);
}

/** @param {number} pid */
function parentOf(pid) {
    // The name in the second field may hold spaces and parentheses: what counts comes after the last one.
    const fields = read(`/proc/${pid}/stat`).split(')').at(-1)?.trim().split(' ') ?? [];
    return fields[0] === 'Z' ? null : Number(fields[1]);
}

/** @param {number} pid */
function commandLine(pid) {
    return read(`/proc/${pid}/cmdline`).split('\0');
}

/** Processes come and go while they are listed. @param {string} file */
function read(file) {
    try {
        return readFileSync(file, 'utf8');
    } catch {
        return '';
    }
}
