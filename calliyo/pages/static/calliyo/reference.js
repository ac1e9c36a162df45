// What the API reference can do with a script: finding, one language for all snippets, and trying things.
"use strict";

const words = document.querySelector("[data-phrases]").dataset;
const LONGEST_SHOWN = 20_000;

// ── Contents: closed where they would push the text away; the place one reads is marked ───────────────────────
const contents = document.querySelector(".contents");
const narrow = matchMedia("(max-width: 899px)");
function arrangeContents() { contents.open = !narrow.matches; }
arrangeContents();
narrow.addEventListener("change", arrangeContents);

const links = new Map([...contents.querySelectorAll("a[href^='#']")].map((link) => [link.hash.slice(1), link]));
for (const link of links.values()) link.addEventListener("click", () => { if (narrow.matches) contents.open = false; });

const inSight = new Set();
const watcher = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) isIntersecting ? inSight.add(target) : inSight.delete(target);
    const places = [...inSight].map((section) => [section.getBoundingClientRect().top, section]).sort(([one], [other]) => one - other);
    const [, here] = places.find(([top]) => top >= 0) ?? places.at(-1) ?? [];
    if (!here) return;
    for (const link of links.values()) link.removeAttribute("aria-current");
    const link = links.get(here.id);
    link.setAttribute("aria-current", "location");
    if (contents.scrollHeight > contents.clientHeight && !contents.matches(":hover, :focus-within")) {
        const place = link.offsetTop - contents.clientHeight / 2;
        contents.scrollTo({ top: place });
    }
}, { rootMargin: "0px 0px -70% 0px" });
for (const id of links.keys()) {
    const section = document.getElementById(id);
    if (section) watcher.observe(section);
}

const find = document.querySelector("[data-find]");
find.hidden = false;
find.addEventListener("input", () => {
    const wanted = find.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    for (const section of contents.querySelectorAll("[data-section]")) {
        let here = 0;
        const title = section.querySelector("a").textContent.toLowerCase();
        for (const item of section.querySelectorAll("li")) {
            const link = item.querySelector("a");
            const text = `${title} ${link.textContent} ${link.dataset.words ?? ""}`.toLowerCase();
            item.hidden = !wanted.every((word) => text.includes(word));
            if (!item.hidden) here += 1;
        }
        section.hidden = here === 0;
        found += here;
    }
    document.querySelector("[data-nothing]").hidden = found > 0;
});

// ── A language that is chosen once is shown everywhere ────────────────────────────────────────────────────────
const snippets = [...document.querySelectorAll("[data-language]")];
let language = "curl";
for (const snippet of snippets) {
    snippet.querySelector("summary").addEventListener("click", (event) => {
        event.preventDefault();
        const before = snippet.getBoundingClientRect().top + snippet.firstElementChild.getBoundingClientRect().top;
        language = snippet.dataset.language;
        for (const other of snippets) other.open = other.dataset.language === language;
        const after = snippet.getBoundingClientRect().top + snippet.firstElementChild.getBoundingClientRect().top;
        scrollBy(0, after - before); // what was clicked stays under the pointer
    });
}

// ── Try it ────────────────────────────────────────────────────────────────────────────────────────────────────
const key = document.querySelector("[data-key]");
const token = document.getElementById("token");
key.hidden = false;
key.addEventListener("submit", (event) => event.preventDefault());
addEventListener("pagehide", () => { token.value = ""; });

let description = null;
async function operations() {
    description ??= fetch(words.openapi).then(async (answer) => {
        if (!answer.ok) throw new Error(answer.statusText);
        const whole = await answer.json();
        const found = new Map();
        for (const [path, methods] of Object.entries(whole.paths)) {
            for (const [method, operation] of Object.entries(methods)) {
                const parameters = operation.parameters.map((one) => (one.$ref ? whole.components.parameters[one.$ref.split("/").pop()] : one));
                found.set(operation.operationId, { path, method: method.toUpperCase(), operation, parameters });
            }
        }
        return found;
    });
    return description;
}

function input(id, label, control) {
    control.id = id;
    const named = document.createElement("label");
    named.htmlFor = id;
    named.textContent = label;
    return [named, control];
}

function choice(options) {
    const select = document.createElement("select");
    for (const option of options) select.add(new Option(option, option));
    return select;
}

function control(parameter) {
    const many = parameter.schema.type === "array";
    const options = many ? undefined : parameter.schema.enum ?? (parameter.schema.type === "boolean" ? ["true", "false"] : undefined);
    const made = options ? choice(["", ...options]) : document.createElement("input");
    if (!options && many) made.placeholder = (parameter.schema.items.enum ?? ["…", "…"]).slice(0, 2).join(",");
    if (!options && parameter.schema.default !== undefined) made.placeholder = parameter.schema.default;
    made.dataset.place = parameter.in;
    made.dataset.name = parameter.name;
    made.dataset.repeated = many && parameter.explode !== false ? "yes" : "";
    made.required = parameter.required === true;
    return made;
}

function build(form, id, found) {
    const inputs = form.querySelector(".inputs");
    const more = document.createElement("details");
    more.className = "more";
    const summary = document.createElement("summary");
    summary.textContent = words.optional;
    more.append(summary);
    for (const parameter of found.parameters) {
        const parts = input(`${id}-${parameter.in}-${parameter.name}`, parameter.name, control(parameter));
        (parameter.required ? inputs : more).append(...parts);
    }
    const types = Object.keys(found.operation.responses["200"]?.content ?? {});
    if (types.length > 1) {
        const select = choice(types);
        select.dataset.accept = "yes";
        inputs.append(...input(`${id}-accept`, words.accept, select));
    }
    const body = found.operation.requestBody?.content["application/json"];
    if (body) {
        const text = document.createElement("textarea");
        text.dataset.body = "yes";
        text.spellcheck = false;
        text.value = JSON.stringify(Object.values(body.examples ?? {})[0]?.value ?? {}, null, 2);
        inputs.append(...input(`${id}-body`, words.bodyLabel, text));
    }
    if (more.children.length > 1) inputs.append(more);
}

function request(form, found) {
    let path = found.path;
    const query = new URLSearchParams();
    const headers = { Authorization: `Bearer ${token.value.trim()}` };
    for (const { value, dataset } of form.querySelectorAll("[data-place]")) {
        if (value === "") continue;
        if (dataset.place === "path") path = path.replace(`{${dataset.name}}`, encodeURIComponent(value));
        else if (dataset.place === "header") headers[dataset.name] = value;
        else for (const one of dataset.repeated ? value.split(",") : [value]) query.append(dataset.name, one);
    }
    const accept = form.querySelector("[data-accept]");
    if (accept) headers.Accept = accept.value;
    const body = form.querySelector("[data-body]")?.value;
    if (body !== undefined) headers["Content-Type"] = "application/json";
    return [`${path}${query.size ? `?${query}` : ""}`, { method: found.method, headers, body, cache: "no-store", credentials: "omit", redirect: "error" }];
}

function pretty(text) {
    let shown = text;
    try {
        shown = JSON.stringify(JSON.parse(text), null, 2);
    } catch { /* CSV and NDJSON are shown as they came */ }
    return shown.length > LONGEST_SHOWN ? `${shown.slice(0, LONGEST_SHOWN)}\n${words.cut}` : shown || words.empty;
}

async function send(form, found) {
    const told = form.querySelector("[data-told]");
    const outcome = form.querySelector("[data-outcome]");
    told.classList.remove("visually-hidden");
    if (!token.value.trim()) {
        told.textContent = words.noToken;
        token.focus();
        return;
    }
    told.textContent = words.sending;
    const began = performance.now();
    try {
        const answer = await fetch(...request(form, found));
        const text = await answer.text();
        const status = outcome.querySelector("[data-status]");
        status.textContent = `${answer.status} ${answer.statusText}`.trim();
        status.className = `pill ${answer.status < 400 ? "good" : answer.status < 500 ? "warn" : "bad"}`;
        outcome.querySelector("[data-time]").textContent = `${Math.round(performance.now() - began)} ms`;
        outcome.querySelector("[data-headers]").textContent = [...answer.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
        outcome.querySelector("[data-answer]").textContent = pretty(text);
        outcome.hidden = false;
        // It stands below already, beside how long it took; here it is for who hears the page.
        told.classList.add("visually-hidden");
        told.textContent = status.textContent;
    } catch (error) {
        told.textContent = words.noAnswer + error.message;
        outcome.hidden = true;
    }
}

for (const box of document.querySelectorAll("[data-try]")) {
    box.hidden = false;
    box.addEventListener("toggle", async () => {
        if (!box.open || box.children.length > 1) return;
        const content = document.createElement("div");
        content.textContent = words.loading;
        box.append(content);
        try {
            const found = (await operations()).get(box.dataset.try);
            const form = document.getElementById("try").content.firstElementChild.cloneNode(true);
            build(form, box.dataset.try, found);
            form.addEventListener("submit", (event) => {
                event.preventDefault();
                send(form, found);
            });
            content.replaceChildren(form);
        } catch {
            description = null;
            content.textContent = words.badSchema;
        }
    });
}
