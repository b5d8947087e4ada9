// Keeps the page up to date while the server that it comes from runs. Only what has changed is
// replaced, so that what was scrolled, selected or focused stays.
'use strict';
const PARTS = ['title', 'style.colors', 'header', 'main'];
const PAUSE = 2000;  // milliseconds

function renew(old, fresh) {
    if (old.isEqualNode(fresh)) {
        return;
    }
    if (old.nodeName !== fresh.nodeName || !old.childNodes.length || !fresh.childNodes.length) {
        old.replaceWith(fresh);
        return;
    }
    for (const { name } of [...old.attributes]) {
        if (!fresh.hasAttribute(name)) {
            old.removeAttribute(name);
        }
    }
    for (const { name, value } of fresh.attributes) {
        old.setAttribute(name, value);
    }
    const [before, after] = [[...old.childNodes], [...fresh.childNodes]];
    after.forEach((child, place) => {
        if (place < before.length) {
            renew(before[place], child);
        } else {
            old.append(child);
        }
    });
    before.slice(after.length).forEach((child) => child.remove());
}

async function update() {
    const note = document.getElementById('connection');
    try {
        const answer = await fetch(location.pathname, { cache: 'no-store' });
        const text = await answer.text();
        if (!answer.ok) {
            throw new Error(text);
        }
        const fresh = new DOMParser().parseFromString(text, 'text/html');
        for (const part of PARTS) {
            renew(document.querySelector(part), fresh.querySelector(part));
        }
        note.hidden = true;
    } catch (error) {
        if (note.hidden) {
            note.textContent = `Since ${new Date().toLocaleTimeString()} there is no answer `
                + `from the server of this page, which shows what was known then: ${error.message}`;
        }
        note.hidden = false;
    }
    setTimeout(update, PAUSE);
}

setTimeout(update, PAUSE);
