"use strict";

// Relative to the page, because a proxy may have put it below a path of its own.
const PREFIX = "library";
const SVG = "http://www.w3.org/2000/svg";
const parts = {
  grid: find("#grid"), batches: find("#batches"), months: find("#months"), state: find("#state"), more: find("#more"),
  search: find("#search"), login: find("#login"), selection: find("#selection"), viewer: find("#viewer"),
  chat: find("#chat"), ask: find("#ask"), drop: find("#drop"), account: find("#account"), loggedOut: find("#logged-out"), filtered: find("#filtered"), message: find("#message"),
};
const FILM = "kie-mcp/edit";
const KINDS = { image: "Picture", video: "Clip", audio: "Sound", text: "Text" };

const here = { items: [], next: "", batch: "", madeFrom: "", view: "all", turn: 0, loading: false, at: 0, file: 0, looks: 0 };
const selected = new Map();
const can = { has_trash: false, takes_files: false };

// What lies behind an open dialog is neither seen nor read out.
const front = () => [...document.querySelectorAll("dialog[open]")].at(-1) ?? document.body;

// Tells screen readers what has changed.
function tell(words) {
  find(":scope > .news", front()).textContent = words;
}

// Shows a message above everything; without words, the last message goes away.
function inform(words) {
  find("span", parts.message).textContent = words;
  parts.message.hidden = !words;
  front().append(parts.message);
  tell(words);
}
find("button", parts.message).addEventListener("click", () => inform(""));

function readToken() {
  const given = location.hash.slice(1);
  if (given) {
    sessionStorage.setItem("token", given);
    // The token is not left in the address, where it could be copied or seen by chance.
    history.replaceState(null, "", location.pathname);
  }
  return sessionStorage.getItem("token") ?? "";
}

// A change is a text or a file; without one, the server is only asked.
async function ask(place, query = {}, change) {
  const filled = Object.entries(query).filter(([, value]) => value !== ""), token = readToken();
  const headers = { ...(token && { Authorization: `Bearer ${token}` }), ...(change !== undefined && { "X-KIE-MCP-Page": "library" }) };
  let response;
  try {
    response = await fetch(`${PREFIX}/api/${place}?${new URLSearchParams(filled)}`, { headers, ...(change !== undefined && { method: "POST", body: change }) });
  } catch {
    throw new Error("The server does not answer. Start it again, and load this page again.");
  }
  const answer = await response.json().catch(() => ({ error: "The server could not answer. What it printed says why." }));
  if (answer.account) {
    parts.account.href = `.${answer.account}`;
    parts.account.hidden = false;
  }
  if (response.status === 401) {
    sessionStorage.removeItem("token");
    // With an account, the login is a page of its own; without one, the token is entered here.
    (answer.account ? parts.loggedOut : parts.login).hidden = false;
    throw new Error(token && "This is not the token of this server, or not any more.");
  }
  if (answer.error) throw new Error([answer.error.message ?? answer.error, answer.error.next_step ?? answer.next_step].filter(Boolean).join(" "));
  return answer;
}

const join = (faults) => [...new Set(faults)].filter(Boolean).join(" ");

// ---- the grid

function cover(item) {
  const file = item.files.find((each) => each.thumbnail);
  const box = make("span", { class: "cover" });
  if (file) {
    const picture = make("img", { src: file.thumbnail, alt: "", loading: "lazy", decoding: "async" });
    picture.addEventListener("error", () => picture.replaceWith(make("span", { class: "nothing" }, "No preview")));
    box.append(picture);
  } else if (item.text || item.broken) {
    box.append(make("span", { class: "words" }, item.text || item.broken));
  } else {
    box.append(make("span", { class: "nothing" }, item.status === "succeeded" ? "Not saved" : item.status));
  }
  const several = item.files.length > 1 ? `${item.files.length} files` : "";
  const badge = several || (item.kind === "video" || item.kind === "audio" ? KINDS[item.kind] : "");
  if (badge) box.append(make("span", { class: "badge" }, badge));
  return box;
}

const nameOf = (item) => item.prompt || item.text || `${KINDS[item.kind]} by ${nameModel(item.model)}`;

function tile(item) {
  const check = make("input", { type: "checkbox", "aria-label": `Select: ${nameOf(item)}` });
  check.checked = selected.has(item.id);
  check.addEventListener("change", () => {
    if (check.checked) selected.set(item.id, item); else selected.delete(item.id);
    showSelection();
  });
  const open = make("button", { type: "button", class: "open", onclick: () => look(here.items.indexOf(item)) },
    cover(item),
    make("span", { class: "title" }, nameOf(item)),
    ...[nameModel(item.model), item.cost || "No charge known", item.day].map((fact) => make("span", { class: "facts" }, fact)));
  return make("li", { class: "tile", "data-id": item.id }, open, make("label", { class: "pick" }, check), star(item), tagsOf(item));
}

const tagsOf = (item) => make("p", { class: "tags" }, ...item.tags.map((tag) => make("span", {}, tag)));

function star(item) {
  const button = make("button", { type: "button", class: "star", "aria-label": `Favourite: ${nameOf(item)}` });
  const show = () => {
    button.setAttribute("aria-pressed", String(item.favourite));
    button.textContent = item.favourite ? "\u2605" : "\u2606";
  };
  button.addEventListener("click", () => attempt(async () => {
    Object.assign(item, await ask(`tasks/${item.id}/marks`, {}, JSON.stringify({ favourite: !item.favourite })));
    show();
    tell(item.favourite ? "A favourite." : "No favourite any more.");
  }));
  show();
  return button;
}

const grid = new Grid(parts.grid, tile);

function filters() {
  const given = { ...Object.fromEntries(new FormData(parts.search)), made_from: here.madeFrom };
  return given.kind === "film" ? { ...given, kind: "", model: FILM } : given;
}

async function load(anew) {
  if (here.loading && !anew) return;
  const turn = (here.turn += 1);
  here.loading = true;
  if (anew) Object.assign(here, { items: [], next: "" });
  try {
    const query = here.batch ? { batch: here.batch } : { ...filters(), cursor: here.next };
    const answer = await ask("items", query);
    if (turn !== here.turn) return;
    if (anew) grid.clear();
    here.items.push(...answer.items);
    here.next = answer.next ?? "";
    grid.add(answer.items);
    parts.state.textContent = here.items.length ? "" : "Nothing like that was made.";
    if (anew) tell(`${here.items.length}${here.next ? " and more" : ""} found.`);
    watchEnd();
  } catch (error) {
    if (turn !== here.turn) return;
    if (anew) {
      grid.clear();
      parts.state.textContent = error.message;
    } else {
      // The next page can be asked for again.
      inform(error.message);
    }
  } finally {
    if (turn === here.turn) {
      here.loading = false;
      parts.more.hidden = !here.next || here.view !== "all";
    }
  }
}

// The next page is asked for a few screens before the end.
const observer = new IntersectionObserver((changes) => {
  // Several changes may be told at once; the last one holds.
  if (changes.at(-1).isIntersecting && here.next) load(false);
}, { rootMargin: "1500px" });

// An observer tells only changes: if the end is near again at once, it has to be asked anew.
function watchEnd() {
  observer.unobserve(parts.more.parentElement);
  observer.observe(parts.more.parentElement);
}
parts.more.addEventListener("click", () => load(false));

parts.grid.addEventListener("keydown", (event) => {
  if (!event.target.matches(".open")) return;
  const { columns } = grid.size, now = grid.indexOf(event.target.closest(".tile"));
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
  if (!step || !grid.items[now + step]) return;
  event.preventDefault();
  grid.focus(now + step);
});

// ---- search and views

let timer = 0;
function searchSoon() {
  clearTimeout(timer);
  timer = setTimeout(() => showEverything({}), 250);
}
parts.search.addEventListener("input", searchSoon);
parts.search.addEventListener("reset", searchSoon);
parts.search.addEventListener("submit", (event) => { event.preventDefault(); searchSoon(); });

function showEverything({ batch = "", madeFrom = "", words = "" }) {
  Object.assign(here, { batch, madeFrom });
  parts.filtered.hidden = !words;
  find("span", parts.filtered).textContent = words;
  show("all");
}
find("button", parts.filtered).addEventListener("click", () => { showEverything({}); });

function show(view) {
  clearTimeout(timer);
  here.view = view;
  for (const button of document.querySelectorAll("[data-view]")) {
    button.setAttribute("aria-pressed", String(button.dataset.view === view));
  }
  parts.grid.hidden = view !== "all";
  parts.batches.hidden = view !== "batches";
  parts.months.hidden = view !== "months";
  parts.search.hidden = view !== "all";
  parts.more.hidden = true;
  if (view !== "all") parts.filtered.hidden = true;
  parts.state.textContent = "";
  inform("");
  return { all: () => load(true), batches: loadBatches, months: loadMonths }[view]();
}
for (const button of document.querySelectorAll("[data-view]")) {
  button.addEventListener("click", () => (button.dataset.view === "all" ? showEverything({}) : show(button.dataset.view)));
}

async function attempt(work) {
  inform("");
  try {
    await work();
  } catch (error) {
    inform(error.message);
  }
}

const loadBatches = () => attempt(async () => {
  const { batches } = await ask("batches");
  parts.batches.replaceChildren(...batches.map((batch) => make("li", {},
    make("div", { class: "covers" }, ...batch.covers.flatMap((item) => {
      const file = item.files.find((each) => each.thumbnail);
      return file ? [make("img", { src: file.thumbnail, alt: "", loading: "lazy" })] : [];
    })),
    make("div", {},
      make("h2", {}, batch.prompt || nameModel(batch.models)),
      make("p", {}, [batch.when, batch.models.split(", ").map(nameModel).join(", "), batch.cost].filter(Boolean).join(" · ")),
      make("p", {}, batch.progress),
      make("button", { type: "button",
        onclick: () => showEverything({ batch: batch.id, words: `The batch ${batch.id}.` }) }, "Show its items")))));
  parts.state.textContent = batches.length ? "" : "No batch was made yet.";
});

const loadMonths = () => attempt(async () => {
  const { months } = await ask("months");
  find("tbody", parts.months).replaceChildren(...months.map((line) => make("tr", {},
    make("th", { scope: "row" }, /^\d{4}-\d\d$/.test(line.month)
      ? make("button", { type: "button", onclick: () => showMonth(line.month) }, line.month) : { all: "Total" }[line.month] ?? line.month),
    make("td", {}, String(line.made)), make("td", {}, String(line.failed)),
    make("td", {}, line.cost), make("td", {}, line.open || "nothing"))));
});

function showMonth(month) {
  const [year, number] = month.split("-").map(Number);
  parts.search.reset();
  parts.search.elements.after.value = `${month}-01`;
  parts.search.elements.before.value = number === 12 ? `${year + 1}-01-01` : `${year}-${String(number + 1).padStart(2, "0")}-01`;
  find("details", parts.search).open = true;
  showEverything({});
}

// ---- the full-size view

// A picture, clip or sound, or a word about it if it cannot be shown.
function player(name, attributes) {
  const element = make(name, attributes);
  element.addEventListener("error", () => element.replaceWith(make("p", {}, "This file is not there any more, or this browser cannot show it.")));
  return element;
}

function stage(item, file, whole) {
  const text = whole?.texts[here.file - item.files.length] ?? item.text;
  if (!file) return make("pre", {}, text ?? "");
  const name = file.label || nameOf(item);
  if (file.kind === "image") return player("img", { src: file.url, alt: name });
  if (file.kind === "video") return player("video", { src: file.url, controls: true, "aria-label": name, poster: file.thumbnail });
  if (file.kind === "audio") {
    const wave = make("img", { src: file.thumbnail, alt: "" });
    wave.addEventListener("error", () => wave.remove());
    return make("div", { class: "sound" }, wave, player("audio", { src: file.url, controls: true, "aria-label": name }));
  }
  return make("p", {}, file.download ? "A browser cannot show this file. Save it." : "This file is not saved.");
}

function copyButton(words, text) {
  const button = make("button", { type: "button" }, words);
  button.addEventListener("click", async () => {
    await copy(text);
    button.textContent = "Copied";
    tell("Copied.");
    setTimeout(() => { button.textContent = words; }, 1500);
  });
  return button;
}

async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Over plain HTTP from another machine there is no clipboard for scripts.
  find("textarea", parts.chat).value = text;
  parts.chat.showModal();
  find("textarea", parts.chat).select();
}

// Lays an edited picture on the one that it was made from.
function compareButton(item, file, whole) {
  const sources = whole.lineage.edges.filter(([, later]) => later === item.id).map(([earlier]) => earlier);
  const before = whole.lineage.items.filter((each) => sources.includes(each.id)).flatMap((each) => each.files).find((each) => each.url && each.kind === "image");
  if (!before || file?.kind !== "image") return undefined;
  const button = make("button", { type: "button", "aria-pressed": "false" }, "Before and after");
  button.addEventListener("click", () => {
    const pressed = button.getAttribute("aria-pressed") === "false";
    button.setAttribute("aria-pressed", String(pressed));
    find(".stage", parts.viewer).replaceChildren(pressed
      ? compare(player("img", { src: before.url, alt: "Before" }), player("img", { src: file.url, alt: "After" })) : stage(item, file));
  });
  return button;
}

const NODE = 64, GAP = 34, LINE = 14;

// What it was made from stands to the left, and what was made from it to the right.
function graph({ items, steps, edges }) {
  if (items.length < 2) return [];
  const columns = new Map();
  for (const each of items) columns.set(steps[each.id], [...(columns.get(steps[each.id]) ?? []), each]);
  const first = Math.min(...columns.keys()), most = Math.max(...[...columns.values()].map((column) => column.length));
  const [width, height] = [columns.size * (NODE + GAP) - GAP + 4, most * (NODE + LINE) - LINE + 4], places = new Map();
  for (const [step, column] of columns) {
    const top = (height - column.length * (NODE + LINE) + LINE) / 2;
    column.forEach((each, index) => places.set(each.id, [2 + (step - first) * (NODE + GAP), top + index * (NODE + LINE)]));
  }
  const box = make("div", {}, drawEdges(edges.map((edge) => edge.map((id) => places.get(id))), width, height));
  for (const each of items) {
    const step = steps[each.id], what = step < 0 ? "Made from" : step > 0 ? "Used for" : "This";
    const thumbnail = each.files.find((file) => file.thumbnail)?.thumbnail, [left, top] = places.get(each.id);
    const button = make("button", { type: "button", title: nameOf(each), "aria-label": `${what}: ${nameOf(each)}`, "aria-current": !step && "true",
      onclick: () => lookAt(each) }, thumbnail ? make("img", { src: thumbnail, alt: "" }) : KINDS[each.kind]);
    Object.assign(button.style, { left: `${left}px`, top: `${top}px` });
    box.append(button);
  }
  Object.assign(box.style, { width: `${width}px`, height: `${height}px` });
  return [make("section", {}, make("h3", {}, "Lineage"), make("div", { class: "graph", tabindex: "0", role: "group", "aria-label": "Lineage" }, box))];
}

function drawEdges(edges, width, height) {
  const svg = document.createElementNS(SVG, "svg");
  for (const [name, value] of [["width", width], ["height", height], ["aria-hidden", "true"]]) svg.setAttribute(name, value);
  for (const [[left, top], [right, bottom]] of edges) {
    const [x, y, y2] = [left + NODE, top + NODE / 2, bottom + NODE / 2], middle = (x + right) / 2;
    svg.appendChild(document.createElementNS(SVG, "path")).setAttribute("d", `M${x} ${y}C${middle} ${y} ${middle} ${y2} ${right} ${y2}`);
  }
  return svg;
}

// What is not among the shown things comes after them.
function lookAt(item) {
  if (!here.items.some((each) => each.id === item.id)) here.items.push(item);
  look(here.items.findIndex((each) => each.id === item.id));
}

function tagForm(item) {
  const input = make("input", { name: "tags", autocomplete: "off", list: "tags", value: item.tags.join(", ") });
  const form = make("form", {}, make("label", {}, "Tags, with commas", input), make("button", { type: "submit" }, "Keep"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(async () => {
      const tags = input.value.split(",").map((tag) => tag.trim()).filter(Boolean);
      Object.assign(item, await ask(`tasks/${item.id}/marks`, {}, JSON.stringify({ tags })));
      input.value = item.tags.join(", ");
      find(`.tile[data-id="${item.id}"] .tags`, parts.grid)?.replaceWith(tagsOf(item));
      tell("The tags are kept.");
      await describePage();
    });
  });
  return form;
}

function about(item, file, whole) {
  const facts = [["Model", nameModel(item.model)], ["Id at KIE", item.model], ["Cost", item.cost], ["Made", item.when], ["File", file?.facts], ["Task", item.id], ...Object.entries(whole.settings)];
  const path = file && whole.paths.find((each) => each.endsWith(file.name));
  return [
    make("div", { class: "row" },
      file?.download ? make("a", { class: "button", href: file.download, download: file.name }, "Save") : undefined,
      whole.whole_prompt ? copyButton("Copy prompt", whole.whole_prompt) : undefined,
      copyButton("Copy settings", whole.call),
      copyButton("Copy for chat", `${file ? `task:${item.id}#${file.n}` : item.id}`),
      compareButton(item, file, whole), deleteButton(item), star(item)),
    whole.whole_prompt ? make("p", { class: "prompt" }, whole.whole_prompt) : undefined,
    make("dl", {}, ...facts.filter(([, value]) => value).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)])),
    whole.note ? make("p", {}, whole.note) : undefined,
    path ? make("span", { class: "path" }, path) : undefined,
    tagForm(item),
    ...graph(whole.lineage),
  ].filter(Boolean);
}

function pagesOf(item) {
  return Math.max(item.files.length, 1);
}

async function look(at, file = 0) {
  const item = here.items[at];
  if (!item) return;
  const turn = (here.looks += 1);
  Object.assign(here, { at, file });
  const shown = item.files[file];
  find("#viewer-title").textContent = shown?.label || KINDS[item.kind];
  find(".place", parts.viewer).textContent =
    `${at + 1} of ${here.items.length}${here.next ? "+" : ""}${item.files.length > 1 ? `, file ${file + 1} of ${item.files.length}` : ""}`;
  find('[data-do="back"]', parts.viewer).disabled = !at && !file;
  find('[data-do="forward"]', parts.viewer).disabled = at === here.items.length - 1 && file === pagesOf(item) - 1 && !here.next;
  find(".stage", parts.viewer).replaceChildren(stage(item, shown));
  find(".rest", parts.viewer).replaceChildren();
  if (!parts.viewer.open) parts.viewer.showModal();
  try {
    const whole = await ask(`tasks/${item.id}`);
    if (turn !== here.looks) return;
    if (!shown) find(".stage", parts.viewer).replaceChildren(make("pre", {}, whole.texts.join("\n\n")));
    find(".rest", parts.viewer).replaceChildren(...about(item, shown, whole));
  } catch (error) {
    if (turn === here.looks) find(".rest", parts.viewer).replaceChildren(make("p", {}, error.message));
  }
}

async function step(by) {
  const file = here.file + by;
  if (file >= 0 && file < pagesOf(here.items[here.at])) return look(here.at, file);
  if (by > 0 && here.at === here.items.length - 1 && here.next) await load(false);
  const next = here.items[here.at + by];
  if (next) await look(here.at + by, by > 0 ? 0 : pagesOf(next) - 1);
}

parts.viewer.addEventListener("click", ({ target }) => {
  const what = target.closest("[data-do]")?.dataset.do;
  ({ back: () => step(-1), forward: () => step(1), close: () => parts.viewer.close() })[what]?.();
});
parts.viewer.addEventListener("keydown", (event) => {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  // In a player, on the slider and in a text, the arrows have a meaning of their own.
  if (!by || event.target.matches("video, audio, input")) return;
  event.preventDefault();
  step(by);
});
parts.viewer.addEventListener("close", () => {
  find(".stage", parts.viewer).replaceChildren();
  const id = here.items[here.at]?.id;
  grid.focus(grid.items.findIndex((each) => each.id === id));
});

// ---- deleting, and dropped files

function deleteButton(item) {
  if (!item.trashed) return can.has_trash ? make("button", { type: "button", onclick: () => deleteAll([item]) }, "Delete") : undefined;
  return make("button", { type: "button", onclick: () => attempt(async () => {
    await ask(`tasks/${item.id}/marks`, {}, JSON.stringify({ trashed: false }));
    parts.viewer.close();
    await load(true);
  }) }, "List it again");
}

// Asks first. What cannot be deleted stays, and the page says why.
function deleteAll(items) {
  find("h2", parts.ask).textContent = items.length === 1 ? `Delete ${nameOf(items[0]).slice(0, 80)}?` : `Delete ${items.length} things?`;
  find('[data-do="yes"]', parts.ask).onclick = () => {
    parts.ask.close();
    attempt(async () => {
      const faults = [];
      for (const item of items) {
        try {
          await ask(`tasks/${item.id}/trash`, {}, "");
          selected.delete(item.id);
        } catch (error) {
          faults.push(error.message);
        }
      }
      if (faults.length < items.length) {
        parts.viewer.close();
        showSelection();
        await load(true);
        tell(items.length === 1 ? "It is in the trash." : `${items.length - faults.length} are in the trash.`);
      }
      if (faults.length) throw new Error(join(faults));
    });
  };
  find('[data-do="no"]', parts.ask).onclick = () => parts.ask.close();
  parts.ask.showModal();
}

async function describePage() {
  const told = await ask("page");
  Object.assign(can, told);
  find("#tags").replaceChildren(...told.tags.map((tag) => make("option", { value: tag })));
  find('[data-do="delete"]', parts.selection).hidden = !can.has_trash;
}

const hasFiles = (event) => can.takes_files && [...(event.dataTransfer?.types ?? [])].includes("Files");

for (const name of ["dragenter", "dragover"]) {
  addEventListener(name, (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    parts.drop.hidden = false;
  });
}
addEventListener("dragleave", (event) => { if (!event.relatedTarget) parts.drop.hidden = true; });
addEventListener("drop", (event) => {
  parts.drop.hidden = true;
  if (!hasFiles(event)) return;
  event.preventDefault();
  attempt(async () => {
    const lines = [], faults = [];
    for (const file of [...event.dataTransfer.files]) {
      inform(`${file.name} is on its way.`);
      try {
        lines.push(await upload(file));
      } catch (error) {
        faults.push(error.message && `${file.name}: ${error.message}`);
      }
    }
    if (lines.length) showForChat(["Use these files with kie-mcp:", ...lines].join("\n"));
    inform(join(faults));
  });
});

async function upload(file) {
  // Sending what cannot be read fails like a server that does not answer.
  await file.slice(0, 1).arrayBuffer().catch(() => { throw new Error("It cannot be read: it is a folder, or has changed, or is not yours."); });
  const { resource, name, expires } = await ask("uploads", { name: file.name }, file);
  return `- ${resource}: ${name}, until ${expires}`;
}

function showForChat(text) {
  find("textarea", parts.chat).value = text;
  parts.chat.showModal();
}

// ---- the selection

function showSelection() {
  parts.selection.hidden = !selected.size;
  find("strong", parts.selection).textContent = `${selected.size} selected`;
}

function save(address, name) {
  const link = make("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
}

parts.selection.addEventListener("click", ({ target }) => attempt(async () => {
  const what = target.closest("[data-do]")?.dataset.do;
  if (!what) return;
  if (what === "clear") {
    selected.clear();
    for (const check of parts.grid.querySelectorAll("input:checked")) check.checked = false;
    return showSelection();
  }
  if (what === "delete") return deleteAll([...selected.values()]);
  const answer = await ask("selection", { tasks: [...selected.keys()].join(",") });
  if (what !== "text" && !answer.zip) throw new Error("The selected things have no files.");
  if (what === "sheet") save(answer.sheet, "contact-sheet.jpg");
  if (what === "zip") save(answer.zip, "kie-mcp.zip");
  if (what === "text") showForChat(answer.text);
  if (what === "film") showForChat(answer.text.replace(/^.+/, "Join these to a film with edit_media, in this order, and ask me about music, titles and length first:"));
  tell(answer.note);
}));

parts.chat.addEventListener("click", ({ target }) => {
  const text = find("textarea", parts.chat);
  if (target.dataset.do === "close") parts.chat.close();
  if (target.dataset.do === "copy") {
    text.select();
    copy(text.value).then(() => { target.textContent = "Copied"; tell("Copied."); setTimeout(() => { target.textContent = "Copy"; }, 1500); });
  }
});

parts.login.addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", parts.login.elements.token.value.trim());
  parts.login.elements.token.value = "";
  parts.login.hidden = true;
  begin();
});

function begin() {
  show("all");
  describePage().catch(() => {});
}

showSelection();
begin();
