// What the server said once, and leaves out later.
const KEPT = ["kind", "prompt", "asked", "title", "has_before", "is_free", "shown_elsewhere"];
const MOST_FAILURES = 5;

class Card {
  // The card of a call is shown where the call is, also when the chat is opened again; that of a task that is asked
  // after (claims is false) only if no other page shows it.
  constructor(id = "", { into = find("#cards"), byModel = false, claims = true } = {}) {
    Object.assign(this, { id, byModel, claims, answer: { status: "submitting" }, failures: 0, since: Date.now(), places: new Map(), tiles: [] });
    this.element = clone("card");
    into.append(this.element);
    this.draw();
  }

  part(name) { return find(`:scope .${name}`, this.element); }

  get ended() { return !goesOn(this.answer.status); }

  get elapsed() { return (Date.now() - this.since) / 1000; }

  get isGrid() { return list(this.answer.items).length > 0 || list(this.answer.made).length > 0; }

  get shape() { return this.isGrid ? 1 : shapeOf(this.answer.asked ?? {}, this.answer.kind); }

  get title() {
    const { title, prompt, model } = this.answer;
    return (this.byModel ? nameModel(text(model)) : text(title) || text(prompt)) || nameModel(text(model)) || "KIE.ai";
  }

  remove() {
    clearTimeout(this.timer);
    this.element.remove();
    for (const [id, each] of cards) if (each === this) cards.delete(id);
  }

  update(answer) {
    const { status } = this.answer;
    // An answer that was overtaken.
    if (!this.element.isConnected || (this.ended && this.answer.task_id && goesOn(answer.status))) return;
    this.id = taskOf(answer) || this.id;
    if ((cards.get(this.id) ?? this) !== this) { this.remove(); return; }
    cards.set(this.id, this);
    const kept = Object.fromEntries(KEPT.map((name) => [name, this.answer[name]]));
    this.answer = { ...kept, ...answer, media: list(answer.media).map((each) => each ?? {}), status: stateOf(answer) };
    if (Number.isFinite(answer.elapsed_seconds)) this.since = Date.now() - answer.elapsed_seconds * 1000;
    this.draw();
    if (status !== this.answer.status) tell(`${this.title}: ${this.answer.told ?? words.states[this.answer.status]}`);
    // The server tells the page more than the agent: the prompt, the shape, the cover.
    if (this.ended && this.id && !this.looked) { this.looked = true; this.look(); } else this.poll();
  }

  draw() {
    const { status, model, error, texts, note, told, sum, elapsed_seconds: elapsed, took_seconds: took = elapsed } = this.answer;
    const isPrice = status === "quoted" || status === "asked";
    this.element.dataset.state = status;
    this.element.dataset.status = status;
    this.part("title").textContent = this.part("title").title = this.title;
    this.part("state").textContent = told === undefined ? words.states[status] : "";
    this.part("model").textContent = this.byModel || this.title === nameModel(text(model)) ? "" : nameModel(text(model));
    this.part("cost").textContent = told ?? (isPrice ? "" : words.cost(this.answer));
    this.part("time").textContent = this.ended && Number.isFinite(took) ? `took ${words.seconds(took)}` : "";
    this.part("bar").hidden = this.ended;
    this.price(isPrice ? words.price(this.answer) : list(sum));
    this.part("rows").hidden = !list(this.answer.rows).length;
    this.part("rows").replaceChildren(...list(this.answer.rows).map(row));
    this.part("trouble").hidden = !error;
    this.part("message").textContent = text(error?.message);
    this.part("advice").textContent = error ? words.advice(error) : "";
    this.line("note", status === "quoted" ? ["Nothing was made or charged.", text(note)].filter(Boolean).join(" ") : note);
    this.part("texts").hidden = !list(texts).length;
    this.part("texts").replaceChildren(...list(texts).map(verse));
    this.pictures();
    this.line("path", saved(list(this.answer.media)));
    fillRow(this.part("acts"), this.acts(), this.part("said"));
    this.fold(this.answer.shown_elsewhere === true);
    this.tick();
  }

  line(name, value) {
    this.part(name).textContent = text(value);
    this.part(name).hidden = !text(value);
  }

  price(lines) {
    this.part("price").hidden = !lines.length;
    this.part("price").replaceChildren(...lines.flatMap(([name, value, kind]) => [make("dt", {}, name), make("dd", { class: kind || false }, value)]));
  }

  // Another card shows it; a second one would only be in the way.
  fold(folded) {
    this.element.classList.toggle("folded", folded);
    if (folded) fillRow(this.part("acts"), [["Show it here", () => this.claim()]], this.part("said"));
  }

  // Only what changed is made anew: a player must not start again.
  pictures() {
    const wanted = new Map(this.files().map((each) => [JSON.stringify([each.key, this.isGrid, this.answer.prompt]), each]));
    for (const key of this.places.keys()) if (!wanted.has(key)) this.places.delete(key);
    for (const [key, { media, ...more }] of wanted) {
      if (!this.places.has(key)) this.places.set(key, media ? new Tile(this, { media, ...more }) : new Place(this, more));
    }
    const places = [...wanted.keys()].map((key) => this.places.get(key)), part = this.part("media");
    this.tiles = places.filter((each) => each instanceof Tile);
    part.hidden = !places.length;
    part.dataset.count = places.length;
    part.dataset.kind = places.every((each) => this.isGrid || (each.kind ?? this.answer.kind ?? "image") === "image") ? "picture" : "wide";
    const elements = places.map(({ element }) => element);
    if (elements.length !== part.children.length || elements.some((each, index) => each !== part.children[index])) part.replaceChildren(...elements);
  }

  // The files that there are, and the places of those that will be.
  files() {
    const { kind, media, made, items, status, asked } = this.answer;
    if (made) return list(made).map((row) => ({ key: row?.task_id, task: text(row?.task_id), number: 1, caption: text(row?.prompt), media: { path: text(list(row?.files)[0]) } }));
    if (list(media).length) {
      return media.map((each, index) => ({ key: [this.id, index, each.url, each.label, each.cover?.length], task: this.id, number: index + 1, count: media.length, kind, media: each }));
    }
    if (list(items).length) {
      return items.flatMap((item) => {
        const caption = `${item.n}. ${text(item.prompt)}`, found = list(item.media);
        if (!found.length) return [{ key: [item.n, item.status], state: text(item.status), caption }];
        return found.map((each, index) => ({ key: [item.n, each.url], task: text(item.task_id), number: index + 1, kind, caption, media: each }));
      });
    }
    const count = status === "submitting" || status === "running" ? countOf(asked ?? {}, kind) : 0;
    return kind === "image" || kind === "video" ? Array.from({ length: count }, (_, index) => ({ key: [index, this.shape] })) : [];
  }

  acts() {
    const { status, error, task_id: id, is_free: free, items, more } = this.answer;
    if (more) return [["Show more", () => say(more)]];
    if (status === "quoted" || status === "asked") return answersTo(this.answer, this.answer.prompt);
    if (!this.ended) return this.failures < MOST_FAILURES ? [] : [["Look again", async () => { this.failures = 0; await this.look(); }]];
    if (!id) return [];
    const another = [];
    if (this.isGrid && list(items).some((each) => ["failed", "expired", "left out"].includes(each.status))) {
      another.push(["Make the missing ones", () => say(`Make the missing ones of batch ${id} again. I know that they cost credits.`)]);
    } else if (free && status === "succeeded") {
      another.push(["Change it", () => say(`I want to change the film ${id}. Ask me what.`)]);
    } else if (error ? error.retryable === true && status === "failed" : status === "succeeded" && !this.isGrid && !this.byModel) {
      another.push([error ? "Try again" : "Another take", () => say(`Make another take of task ${id}: the same tool with the same arguments, as a new variation. I know that it costs credits again.`)]);
    }
    const acts = this.byModel ? actsFor(this.tiles).slice(0, 3) : actsFor(this.tiles, another);
    const [video] = this.tiles.filter(({ kind }) => kind === "video");
    if (video && !this.isGrid) acts.unshift(["Enlarge", () => viewer.open(this.tiles, video)]);
    return acts;
  }

  tick() {
    if (this.ended || this.answer.shown_elsewhere) return;
    const usual = Number(this.answer.usual_seconds), bar = this.part("bar"), items = list(this.answer.items);
    let how = words.seconds(this.elapsed), percent = NaN;
    if (items.length) {
      const done = items.filter((each) => !["waiting", "running", "submitting", "starting"].includes(each.status)).length;
      how = `${done} of ${items.length}, ${how}`;
      percent = (100 * done) / items.length;
    } else if (usual > 0 && this.elapsed > usual) {
      how = `Longer than usual: ${how}`;
    } else if (usual > 0) {
      how += ` of usually ${words.seconds(usual)}`;
      percent = (90 * this.elapsed) / usual;
    }
    if (Number.isFinite(percent)) bar.setAttribute("aria-valuenow", Math.round(percent)); else bar.removeAttribute("aria-valuenow");
    bar.firstElementChild.style.width = Number.isFinite(percent) ? `${Math.max(2, percent)}%` : "";
    bar.setAttribute("aria-valuetext", how);
    this.part("time").textContent = how;
  }

  poll() {
    clearTimeout(this.timer);
    if (this.ended || !this.id || this.failures >= MOST_FAILURES || !this.element.isConnected) return;
    const pause = Math.min(Math.max(2, this.elapsed / 10), 15) * 2 ** this.failures;
    this.timer = setTimeout(() => (document.hidden ? this.poll() : this.look()), pause * 1000);
  }

  async claim() {
    this.claims = true;
    await this.look();
  }

  async look() {
    try {
      const answer = await askServer({ task_id: this.id, here: this.claims });
      Object.assign(this, { failures: 0, claims: false });
      this.part("said").textContent = "";
      this.update({ shown_elsewhere: false, ...answer });
    } catch ({ refusal }) {
      // Nothing is known of the task but that.
      if (refusal?.error?.retryable === false && !this.answer.task_id) { this.looked = true; this.update(refusal); return; }
      this.failures += 1;
      const known = this.answer.task_id ? " The task runs on." : "";
      if (this.failures >= MOST_FAILURES) this.part("said").textContent = `The chat does not tell how it goes.${known} Ask for it in the chat.`;
      this.draw();
      this.poll();
    }
  }
}

// The two answers to a price. The agent has the id that the question came with.
function answersTo({ status, model, task_id: id, estimated_credits: about, counted_credits: counted }, prompt) {
  const what = [nameModel(text(model)), text(prompt) && `"${text(prompt).slice(0, 80)}"`].filter(Boolean).join(", ");
  const credits = words.credits(Number.isFinite(counted) ? [counted] : about), cost = credits ? ` I agree to ${credits}.` : "";
  if (status === "quoted" && text(id)) return [["Show it", () => say(`Show me the task ${id}.`), "first"]];
  const yes = status === "asked" ? `Go ahead: make what you asked me about${what && ` (${what})`}.${cost}` : `Go ahead: make what you told me the price of${what && ` (${what})`}.${cost}`;
  return [["Go ahead", () => say(yes), "first"], ["Not now", () => say(`Do not make it${what && ` (${what})`}. Ask me what to do instead.`)]];
}

function verse(value, index, all) {
  const name = all.length > 1 ? `Text ${index + 1} of ${all.length}` : "Text";
  return make("div", { class: "text", tabindex: "0", role: "group", "aria-label": name }, text(value));
}

// Where the files are: one path, or the folder that they share.
function saved(media) {
  const paths = media.map(({ path }) => text(path)).filter(Boolean);
  if (!paths.length) return "";
  if (paths.length === 1) return `Saved as ${paths[0]}`;
  const folders = new Set(paths.map((path) => path.replace(/[\\/][^\\/]*$/, "")));
  return folders.size === 1 ? `Saved in ${[...folders][0]}` : `Saved as ${paths.join(", ")}`;
}

function tell(news) { find("#news").textContent = news; }

// A quote may name the task of an earlier call, and is not about it.
function taskOf({ status, task_id: id }) { return status === "quoted" ? "" : text(id); }

// What the text tells where a host passes no more.
function readPlain(plain, isError) {
  if (!isError && /\bNothing was sent\b/.test(plain)) return { status: "quoted", note: plain };
  const id = /\bt_[a-z0-9]{6,}\b/.exec(plain)?.[0];
  if (id) return { task_id: id };
  if (!isError) return { status: "succeeded", told: "", note: plain || "There is nothing to show." };
  const category = /\((confirmation_needed|declined), /.exec(plain)?.[1];
  return { status: "failed", error: { message: plain || "There is nothing to show.", category, billed: category || plain.includes(words.billed(false)) ? false : undefined } };
}

// The cards by task; the one without an id is the call whose answer has not come yet.
const cards = new Map();
// Those of tasks that were asked after, by whatever ids the call had.
const early = [];

function card(id, how) {
  const found = cards.get(id) ?? cards.get("") ?? new Card(id, how);
  if (!found.id) cards.delete("");
  found.id = id;
  cards.set(id, found);
  return found;
}

// Several models beside each other, one card each, under what all of them were asked for.
function showComparison({ models, credits, usd }) {
  const waitingCard = cards.get(""), title = text(waitingCard?.answer.prompt);
  waitingCard?.remove();
  const box = find(".group .cards") ?? make("div", { class: "cards" });
  if (!box.isConnected) {
    find("#cards").append(make("section", { class: "group" }, make("h2", {}, title || "Comparison"), make("p", { class: "facts" }), box));
  }
  find(".group .facts").replaceChildren(make("span", {}, `${models.length} models`), make("span", {}, words.credits([credits]), " ", words.dollars([usd]) && `(${words.dollars([usd])})`));
  for (const row of models) {
    const shown = cards.get(text(row.task_id)) ?? new Card(text(row.task_id), { into: box, byModel: true });
    shown.update({ ...row, elapsed_seconds: row.seconds });
  }
}

function nameTool() { return text(host.context.toolInfo?.tool?.name); }

// The tasks that are asked after. In other tools, task_id is the task that they go on from.
function askedAfter({ task_ids: several, task_id: one }) {
  const given = [several ?? (/get_task$/.test(nameTool()) ? one : "")].flat().map(text).join();
  return given.split(/[\s,;"[\]]+/).map((id) => id.replace(/^(task:|kie:\/\/tasks\/)|[#/].*$/g, "")).filter(Boolean);
}

// What a tool makes, by its name, before its answer says so.
function guessKind() {
  const name = nameTool();
  return { image: "image", video: "video", avatar: "video", music: "audio", speech: "audio", sound: "audio" }[/image|video|avatar|music|speech|sound/.exec(name)?.[0]];
}

host.hears["ui/notifications/host-context-changed"] = (context) => {
  Object.assign(host.context, context);
  dress(context);
  viewer.follow();
};

host.hears["ui/notifications/tool-input"] = ({ arguments: given = {} }) => {
  const ids = askedAfter(given);
  if (ids.length) {
    for (const id of ids) early.push(card(id, { claims: false }));
    for (const each of early) each.look();
    return;
  }
  const input = { ...given, ...(given.input && typeof given.input === "object" && given.input) };
  const prompt = [input.prompt, input.text, list(input.prompts).map(text).join(" · "), input.words].map(text).find(Boolean) ?? "";
  Object.assign(card("").answer, { prompt, asked: input, kind: list(given.models).length || given.prompts || given.items ? undefined : guessKind(), ...(given.quote === true && { status: "pricing" }) });
  card("").draw();
};

host.hears["ui/notifications/tool-result"] = ({ structuredContent, content, isError }) => {
  const plain = list(content).map((each) => text(each?.text)).join("\n");
  const answer = structuredContent ?? {};
  if (list(answer.models).length && answer.status !== "quoted") { showComparison(answer); return; }
  if (listOf(answer)) { listOf(answer)(answer); return; }
  const errors = list(answer.errors).map((each) => ({ status: "failed", ...each }));
  for (const told of list(answer.tasks).length ? [...answer.tasks, ...errors] : [answer]) {
    const each = told.status || told.task_id ? told : readPlain(plain, isError);
    const shown = card(taskOf(each), { claims: !early.length });
    if (each.status) shown.update(each); else shown.look();
  }
  // An answer in words alone does not name every task.
  if (structuredContent) for (const each of early.splice(0)) if (!each.answer.task_id) each.remove();
};

host.hears["ui/notifications/tool-cancelled"] = () => {
  const given = cards.get("");
  if (given) given.update({ status: "unknown", error: { message: "The call was stopped.", billed: null, next_step: "If a task had started, it runs on; ask the agent for the list of tasks." } });
};

host.hears["ui/resource-teardown"] = () => {
  clearInterval(ticking);
  for (const each of cards.values()) { clearTimeout(each.timer); each.failures = MOST_FAILURES; }
};

host.hears.ping = () => {};

const ticking = setInterval(() => { for (const each of cards.values()) each.tick(); }, 1000);
host.connect().catch(() => { find("#cards").textContent = "This page shows tasks inside a chat."; });
