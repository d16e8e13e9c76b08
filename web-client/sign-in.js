// @ts-check
/** The form that takes a token. Asks the server whether it is one before anything else happens with it. */
import { Problem, whoAmI } from './api.js';
import { forgetToken, setToken } from './credentials.js';
import { element } from './page.js';

/**
 * @param {(identity: import('./api.js').Identity) => void} onSignedIn
 */
export function listenToSignIn(onSignedIn) {
    const form = element('sign-in-form', HTMLFormElement);
    const field = element('token', HTMLInputElement);
    const wrong = element('sign-in-wrong', HTMLElement);
    const button = element('sign-in-button', HTMLButtonElement);
    form.addEventListener('submit', (event) => {
        event.preventDefault();
        wrong.textContent = '';
        button.disabled = true;
        void tryToken(field.value)
            .then((outcome) => {
                if (typeof outcome === 'string') {
                    wrong.textContent = outcome;
                    field.select();
                    return;
                }
                field.value = '';
                onSignedIn(outcome);
            })
            .finally(() => {
                button.disabled = false;
            });
    });
}

/**
 * @param {string} text
 * @returns {Promise<import('./api.js').Identity | string>} who it is, or what is wrong
 */
async function tryToken(text) {
    if (!setToken(text)) return 'This is not a token: it has letters, digits and some signs, and no spaces.';
    try {
        return await whoAmI();
    } catch (error) {
        forgetToken();
        if (error instanceof Problem && error.status === 401) return 'The server does not know this token.';
        return error instanceof Error ? error.message : String(error);
    }
}
