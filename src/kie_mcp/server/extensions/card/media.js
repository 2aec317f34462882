// An address that may stand in the page: whatever else a link may be, it is no script.
function address(value) {
  if (/^data:(image|video|audio)\//.test(value)) return value;
  try {
    const url = new URL(text(value));
    return url.protocol === "https:" ? url.href : "";
  } catch {
    return "";
  }
}

// The page itself loads media from KIE's file hosts, the bucket and the server's previews only, whatever the host allows.
function mayLoad(source) {
  return source.startsWith("data:") || (source !== "" && mediaHosts.includes(new URL(source).host));
}

function kindOf({ mime_type: type, url, path }, kind) {
  const told = text(type).split("/")[0];
  if (Object.hasOwn(words.kinds, told)) return text(type) === "audio/midi" ? "file" : told;
  const [, ending] = /\.(\w+)(?:[?#]|$)/.exec(text(path) || text(url)) ?? [];
  if (/^(png|jpe?g|webp|gif|avif)$/i.test(ending)) return "image";
  if (/^(mp4|webm|mov|m4v)$/i.test(ending)) return "video";
  if (/^(mp3|wav|m4a|ogg|flac|aac)$/i.test(ending)) return "audio";
  return ending || !Object.hasOwn(words.kinds, kind ?? "") ? "file" : kind;
}

// Loads a picture or what plays, and gives its element once it can be seen.
async function load(source, kind, name) {
  if (kind === "file" || !mayLoad(source)) throw new Error("not from there");
  if (source.startsWith("data:image/")) return draw(source, name);
  const shown = document.createElement(kind === "image" ? "img" : kind);
  if (kind === "image") shown.alt = name;
  else Object.assign(shown, { controls: true, preload: "metadata", playsInline: true, ariaLabel: name });
  await new Promise((resolve, reject) => {
    shown.addEventListener(kind === "image" ? "load" : "loadedmetadata", resolve);
    shown.addEventListener("error", () => reject(new Error("not there")));
    shown.src = source;
  });
  return shown;
}

// Some hosts block data: in pictures as well; what is drawn comes from nowhere.
async function draw(source, name) {
  const [head, content] = source.split(",");
  const bytes = Uint8Array.from(atob(content), (each) => each.charCodeAt(0));
  const picture = await createImageBitmap(new Blob([bytes], { type: head.slice(5).split(";")[0] }));
  const canvas = make("canvas", { role: "img", "aria-label": name, width: picture.width, height: picture.height });
  canvas.getContext("2d").drawImage(picture, 0, 0);
  return canvas;
}

// Keeps the place of a shape free.
function keep(frame, ratio) {
  frame.style.setProperty("--shape", String(ratio));
  frame.style.setProperty("--wide", String(ratio));
}

function clone(id) { return document.getElementById(id).content.firstElementChild.cloneNode(true); }

// One file of a task: its place in the card, and what can be done with it.
class Tile {
  constructor(card, { task, number, media, kind, count, caption = "" }) {
    Object.assign(this, { card, task, number, media, url: address(media.url), kind: kindOf(media, kind) });
    this.name = [words.kinds[this.kind] ?? "File", count > 1 ? `${number} of ${count}` : ""].filter(Boolean).join(" ");
    this.title = text(media.label) || card.title;
    this.label = [this.name, this.title].filter(Boolean).join(": ");
    this.reference = `task:${task}#${number}`;
    const opens = this.kind === "image" || (this.kind === "video" && card.isGrid);
    this.frame = make(opens ? "button" : "div", { class: "frame", "data-kind": this.kind, "data-state": "loading",
      ...(opens && { type: "button", "aria-label": `Enlarge: ${this.label}`, onclick: () => viewer.open(this.card.tiles, this) }) });
    if (this.kind !== "audio" && this.kind !== "file") keep(this.frame, card.shape);
    this.element = make("li", { class: "tile" }, this.kind === "audio" ? this.song() : make("figure", {}, this.frame, this.caption(caption || text(media.label).replace(/^item (\d+): /, "$1. "))));
    this.show();
  }

  caption(value) { return value && value !== this.card.title ? make("figcaption", {}, value) : ""; }

  song() {
    this.cover = make("span", { class: "cover" }, clone("note"));
    this.long = make("span", { class: "long" }, /\d+:\d\d|\d+(\.\d+)? s\b/.exec(text(this.media.facts))?.[0] ?? "");
    const cover = address(this.media.cover);
    if (cover) load(cover, "image", "").then((picture) => this.cover.replaceChildren(picture)).catch(() => {});
    return make("div", { class: "song" }, this.cover, make("p", { class: "name" }, make("span", {}, this.title || this.name), this.long), this.frame);
  }

  async show() {
    try {
      this.fill(await (this.card.isGrid ? this.loadSmall() : this.load()));
    } catch {
      const why = { file: "No preview.", image: "This chat cannot show it." }[this.kind] ?? "This chat cannot play it.";
      this.frame.dataset.state = "gone";
      this.frame.replaceChildren(make("p", {}, this.url && host.can.openLinks ? `${why} Open shows it in the browser.` : why));
      this.frame.removeAttribute("aria-label");
      if (this.frame.matches("button")) this.frame.disabled = true;
    }
  }

  fill(shown) {
    this.frame.replaceChildren(shown);
    this.frame.dataset.state = "shown";
    const wide = shown.naturalWidth ?? shown.videoWidth ?? shown.width, high = shown.naturalHeight ?? shown.videoHeight ?? shown.height;
    if (wide && high && !this.card.isGrid) keep(this.frame, wide / high);
    if (this.kind === "audio" && Number.isFinite(shown.duration)) this.long.textContent = words.length(shown.duration);
  }

  // From KIE if the host lets that in and the file is there; else the server has it, small.
  async load() {
    return load(this.url, this.kind, this.label).catch(() => this.loadSmall());
  }

  async loadSmall() {
    if (this.kind === "file") throw new Error("no preview");
    const { previews, media } = await askServer({ task_id: this.task, preview: [this.number] });
    // A list of files tells paths alone.
    this.url ||= address(list(media)[this.number - 1]?.url);
    const source = address(previews?.[this.number]);
    const small = await load(source, kindOf({ mime_type: source.slice(5).split(";")[0] }), this.label);
    if (this.card.isGrid) Object.assign(small, { controls: false, muted: true });
    return small;
  }

  async loadBefore() {
    const { previews } = await askServer({ task_id: this.task, preview: [0] });
    return load(address(previews?.[0]), "image", "Before");
  }

  get saving() {
    const { path, mime_type: mimeType } = this.media;
    const ending = /\.\w+$/.exec(new URL(this.url).pathname)?.[0] ?? "";
    const name = text(path).split(/[\\/]/).pop() || `${this.task}-${this.number}${ending}`;
    return { type: "resource_link", uri: this.url, name, ...(mimeType && { mimeType }) };
  }
}

// Where a file will be, while it is made.
class Place {
  constructor(card, { state = "running", caption = "" } = {}) {
    this.frame = make("div", { class: "frame", "data-state": goesOn(state) || state === "waiting" ? "loading" : state });
    keep(this.frame, card.shape);
    if (this.frame.dataset.state !== "loading") this.frame.append(make("p", {}, words.states[state] ?? "Not made"));
    this.element = make("li", { class: "tile" }, make("figure", {}, this.frame, caption ? make("figcaption", {}, caption) : ""));
  }
}

async function save(tiles) {
  await must("ui/download-file", { contents: tiles.map((each) => each.saving) }, "It was not saved. Open shows it in the browser.");
}

async function open(tile) {
  await must("ui/open-link", { url: tile.url }, "The chat did not open it.");
}

const NEXT = {
  image: { Upscale: "Upscale", Animate: "Animate", "Remove background": "Remove the background of" },
  video: { Upscale: "Upscale", "Use in a film": "Put into a film" },
  audio: { "Use in a film": "Put into a film" },
  file: {},
};

// The buttons for some files, and those for their task: what the host can do, and what the agent can be asked for.
function actsFor(tiles, another = []) {
  const kinds = new Set(tiles.map(({ kind }) => kind)), linked = tiles.filter(({ url }) => url);
  const of = tiles.map(({ reference }) => reference).join(", "), some = tiles.length > 1 ? " Ask me which of them, if not all." : "";
  const acts = [];
  if (host.can.downloadFile && linked.length) acts.push([linked.length > 1 ? "Save all" : "Save", () => save(linked)]);
  if (host.can.openLinks && linked.length === 1) acts.push(["Open", () => open(linked[0])]);
  acts.push(...another);
  if (!tiles.length || kinds.has("file")) return acts;
  acts.push(["Use as input", () => say(`Use ${of} as the input of what I ask for next.${some} If I have not said what to make of it, ask me.`)]);
  if (kinds.size > 1) return acts;
  for (const [name, asked] of Object.entries(NEXT[[...kinds][0]])) {
    acts.push([name, () => say(`${asked} ${of}.${some} Tell me the price first if it costs credits.`)]);
  }
  return acts;
}

// Fills a row with buttons; what they do is told beside them.
function fillRow(row, acts, said) {
  const now = document.activeElement?.textContent, focused = row.contains(document.activeElement);
  row.hidden = !acts.length;
  row.replaceChildren(...acts.map(([name, run, kind = ""]) => {
    const button = make("button", { type: "button", class: kind || false }, name);
    button.addEventListener("click", async () => {
      button.disabled = true;
      said.textContent = "";
      try { said.textContent = (await run()) ?? ""; } catch (error) { said.textContent = error.message; }
      button.disabled = false;
      button.focus();
    });
    return button;
  }));
  if (focused) [...row.children].find((each) => each.textContent === now)?.focus();
}
