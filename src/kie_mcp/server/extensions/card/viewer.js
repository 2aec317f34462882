// One file, as large as there is room, with the ones beside it.
const viewer = {
  box: find("#viewer"),
  tiles: [],
  at: 0,

  get part() { return (name) => find(`[data-do="${name}"]`, this.box); },

  open(tiles, tile) {
    this.tiles = tiles.filter(({ kind }) => kind === "image" || kind === "video");
    this.from = tile;
    // The frame of the page is as high as its content, which may be less than a picture needs.
    document.body.style.minHeight = `${Math.min(640, Math.round(screen.availHeight * 0.7))}px`;
    this.box.showModal();
    this.show(this.tiles.indexOf(tile));
  },

  async show(at) {
    this.at = at;
    const tile = this.tiles[at], stage = find(".stage", this.box);
    const several = this.tiles.length > 1;
    find("#viewer-title").textContent = [several ? `${at + 1} of ${this.tiles.length}` : "", tile.title].filter(Boolean).join(": ") || tile.name;
    for (const [name, by] of [["back", -1], ["forward", 1]]) {
      this.part(name).hidden = !several;
      this.part(name).disabled = !this.tiles[at + by];
    }
    this.part("compare").hidden = !tile.card.answer.has_before || tile.kind !== "image";
    this.part("compare").setAttribute("aria-pressed", "false");
    this.part("full").hidden = !host.canFill;
    this.follow();
    fillRow(find(".acts", this.box), actsFor([tile]), find(".said", this.box));
    find(".said", this.box).textContent = "";
    await this.stage(() => tile.load());
    stage.dataset.at = at;
  },

  // What came too late for its place is dropped.
  async stage(build) {
    const turn = (this.turn = (this.turn ?? 0) + 1), stage = find(".stage", this.box);
    const shown = await build().catch(() => make("p", {}, "This chat cannot show it."));
    if (turn === this.turn && this.box.open) stage.replaceChildren(shown);
  },

  follow() { this.part("full").setAttribute("aria-pressed", String(host.isFull)); },

  async compare() {
    const tile = this.tiles[this.at], button = this.part("compare"), wanted = button.getAttribute("aria-pressed") === "false";
    button.setAttribute("aria-pressed", String(wanted));
    await this.stage(async () => (wanted ? compare(await tile.loadBefore(), await tile.load()) : tile.load()));
  },

  step(by) { if (this.tiles[this.at + by]) this.show(this.at + by); },
};

viewer.box.addEventListener("click", ({ target }) => {
  const what = target.closest("[data-do]")?.dataset.do;
  ({ back: () => viewer.step(-1), forward: () => viewer.step(1), compare: () => viewer.compare(), full: () => host.fill(!host.isFull), close: () => viewer.box.close() })[what]?.();
});
viewer.box.addEventListener("keydown", (event) => {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  // In a player and on the slider, the arrows have a meaning of their own.
  if (!by || event.target.matches("video, audio, input")) return;
  event.preventDefault();
  viewer.step(by);
});
viewer.box.addEventListener("close", () => {
  find(".stage", viewer.box).replaceChildren();
  document.body.style.minHeight = "";
  if (host.isFull) host.fill(false);
  viewer.from?.frame.focus();
});
