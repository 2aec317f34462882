"use strict";

// Tiles of one size for any number of things. Only those near the screen are elements, so that ten thousand things take
// no longer to lay out than a hundred.
class Grid {
  constructor(box, build, { least = 190, leastNarrow = 138, gap = 16, ahead = 900 } = {}) {
    Object.assign(this, { box, build, least, leastNarrow, gap, ahead, items: [], tiles: new Map(), size: null });
    addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.fit()).observe(box);
  }

  clear() {
    this.items = [];
    this.tiles.clear();
    this.box.replaceChildren();
    this.fit();
  }

  add(items) {
    this.items.push(...items);
    this.fit();
  }

  // How large a tile is, and how many are beside each other; measured, because that depends on the user's font.
  fit() {
    const wide = this.box.clientWidth;
    if (!wide || !this.items.length) { this.box.style.height = ""; return; }
    if (wide !== this.size?.wide) {
      const least = wide < 600 ? this.leastNarrow : this.least, columns = Math.max(1, Math.floor((wide + this.gap) / (least + this.gap)));
      const width = (wide - (columns - 1) * this.gap) / columns, probe = this.build(this.items[0]);
      probe.style.width = `${width}px`;
      this.box.append(probe);
      this.size = { wide, columns, width, height: probe.offsetHeight + this.gap };
      probe.remove();
      for (const [index, tile] of this.tiles) this.place(tile, index);
    }
    this.box.style.height = `${Math.ceil(this.items.length / this.size.columns) * this.size.height}px`;
    this.draw();
  }

  place(tile, index) {
    const { columns, width, height } = this.size, row = Math.floor(index / columns);
    tile.style.width = `${width}px`;
    tile.style.transform = `translate(${(index % columns) * (width + this.gap)}px, ${row * height}px)`;
    tile.setAttribute("aria-posinset", index + 1);
    tile.setAttribute("aria-setsize", -1);
  }

  draw() {
    if (!this.size || this.box.hidden || !this.items.length) return;
    const top = -this.box.getBoundingClientRect().top - this.ahead, { columns, height } = this.size;
    const from = Math.max(0, Math.floor(top / height)) * columns;
    const to = Math.min(this.items.length, Math.ceil((top + innerHeight + 2 * this.ahead) / height) * columns);
    if (from === this.from && to === this.to && this.tiles.size) return;
    Object.assign(this, { from, to });
    for (const [index, tile] of this.tiles) {
      // Whoever is in a tile by keyboard stays there.
      if ((index < from || index >= to) && !tile.contains(document.activeElement)) {
        tile.remove();
        this.tiles.delete(index);
      }
    }
    let after = this.box.firstElementChild;
    for (let index = from; index < to; index += 1) {
      const known = this.tiles.get(index), tile = known ?? this.build(this.items[index]);
      if (!known) {
        this.tiles.set(index, tile);
        this.place(tile, index);
      }
      // In the order of the things, which is also that of the keyboard and of screen readers.
      if (tile === after) after = after.nextElementSibling;
      else this.box.insertBefore(tile, after);
    }
  }

  indexOf(tile) { return [...this.tiles].find(([, each]) => each === tile)?.[0] ?? -1; }

  // Moves the keyboard to a thing, which may be far from the screen.
  focus(index) {
    if (!this.items[index]) return;
    const { columns, height } = this.size, top = this.box.getBoundingClientRect().top + Math.floor(index / columns) * height;
    if (top < 0 || top + height > innerHeight) scrollBy(0, top - (innerHeight - height) / 2);
    this.draw();
    find(".open", this.tiles.get(index)).focus({ preventScroll: true });
  }
}
