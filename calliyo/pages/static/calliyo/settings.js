// What the Settings pages can do better with a script; each of them works without it.
"use strict";

const overlay = document.querySelector("dialog[data-overlay]");
let leavingIsFine = false;

function announce(text) {
    const live = (overlay ?? document).querySelector("[data-live]");
    live.textContent = "";
    setTimeout(() => { live.textContent = text; }, 50);
}

// ── The dialog or drawer that the server opened becomes modal; closing it goes where its Close link goes ──────
function leaveOverlay() {
    const close = overlay.querySelector("[data-close]");
    if (close) close.click();
}

for (const button of document.querySelectorAll("[data-copy]")) button.hidden = false; // before the focus goes to it

if (overlay) {
    overlay.removeAttribute("open");
    overlay.showModal();
    overlay.querySelector('[aria-invalid="true"]')?.focus();
    overlay.addEventListener("cancel", (event) => {
        event.preventDefault();
        if (!overlay.hasAttribute("data-holds-token")) leaveOverlay();
    });
    overlay.addEventListener("mousedown", (event) => {
        const box = overlay.getBoundingClientRect();
        const outside = event.clientX < box.left || event.clientX > box.right || event.clientY < box.top || event.clientY > box.bottom;
        if (event.target === overlay && outside && !overlay.hasAttribute("data-holds-token")) leaveOverlay();
    });
}

// ── A form that was refused is the answer to a post: back and reload lead to where it opens, and send nothing ─
const opensAt = overlay?.dataset.opensAt;
if (opensAt && new URL(opensAt, location.href).pathname !== location.pathname) history.replaceState(null, "", opensAt);

const refused = document.querySelector("form[data-refused]");
if (refused) {
    history.replaceState(null, "", location.href);
    refused.querySelector('[aria-invalid="true"]')?.focus();
}

// ── What is shown in one answer alone (a token, a secret) is gone from the page as soon as the page is left ───
if (overlay?.dataset.address) {
    // Reload must ask for the page behind, not send the form again; no history entry leads back here.
    history.replaceState(null, "", overlay.dataset.address);
    addEventListener("pagehide", () => overlay.replaceChildren());
    addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
}
if (overlay?.hasAttribute("data-holds-token")) {
    overlay.querySelector("[data-close]").addEventListener("click", (event) => {
        event.preventDefault();
        leavingIsFine = true;
        // The same address but for its fragment: only a reload loads it anew.
        history.replaceState(null, "", event.currentTarget.href);
        location.reload();
    });
}

function select(node) {
    const range = document.createRange();
    range.selectNodeContents(node);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
}

for (const button of document.querySelectorAll("[data-copy]")) {
    const label = button.textContent;
    button.addEventListener("click", async () => {
        const source = document.getElementById(button.dataset.copy);
        try {
            await navigator.clipboard.writeText(source.textContent.trim());
            button.textContent = button.dataset.copied;
            announce(button.dataset.copied);
            setTimeout(() => { button.textContent = label; }, 4000);
        } catch {
            select(source);
            announce(button.dataset.selected);
        }
    });
}

// ── Typed text is not lost by leaving, and a form is sent once ────────────────────────────────────────────────
let typed = document.querySelector("form[data-typed]") !== null; // what came back unsaved
for (const form of document.querySelectorAll("form[data-guard]")) {
    form.addEventListener("input", () => { typed = true; });
}
addEventListener("beforeunload", (event) => {
    if (!leavingIsFine && (typed || overlay?.hasAttribute("data-holds-token"))) event.preventDefault();
});
for (const form of document.querySelectorAll("form[method=post]:not([hx-post])")) {
    form.addEventListener("submit", (event) => {
        if (form.dataset.sent) {
            event.preventDefault();
            return;
        }
        form.dataset.sent = "yes";
        setTimeout(() => { allowAgain(form); }, 30_000); // a send that was stopped or lost may be repeated
        leavingIsFine = true;
        const button = event.submitter;
        button?.setAttribute("aria-disabled", "true");
        if (button?.dataset.busy) button.textContent = button.dataset.busy;
        announce(button?.dataset.busy ?? document.querySelector("[data-working]").dataset.working);
    });
}
function allowAgain(form) {
    delete form.dataset.sent;
    for (const button of form.querySelectorAll("[aria-disabled]")) button.removeAttribute("aria-disabled");
}
// So may the forms of a page that the browser kept and shows again (Back).
addEventListener("pageshow", (event) => {
    if (event.persisted) document.querySelectorAll("form[data-sent]").forEach(allowAgain);
});

// ── The words under the Scopes table follow the ticks; the server speaks them ─────────────────────────────────
const scopes = document.querySelector("form[data-words]");
if (scopes) {
    let asked = 0;
    scopes.addEventListener("change", async () => {
        const question = ++asked;
        const ticks = new FormData(scopes).getAll("scopes").map((scope) => ["scopes", scope]);
        const answer = await fetch(`${scopes.dataset.words}?${new URLSearchParams(ticks)}`, { redirect: "manual" }).catch(() => null);
        if (!answer?.ok || question !== asked) return;
        const words = new DOMParser().parseFromString(await answer.text(), "text/html");
        if (question === asked) document.getElementById("in-words").replaceChildren(...words.body.childNodes);
    });
}

// What the server says on arrival is said aloud too.
const notices = document.querySelector("[data-notices]");
if (notices) announce(notices.textContent.trim());
