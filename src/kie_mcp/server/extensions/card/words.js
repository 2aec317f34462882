const words = {
  locale: undefined,
  states: {
    pricing: "Asking for the price", submitting: "Starting", running: "Running", succeeded: "Done", failed: "Failed", expired: "Expired",
    unknown: "Unknown", quoted: "Price", asked: "Waits for your answer", declined: "Not made", waiting: "Waits", "left out": "Left out",
  },
  kinds: { image: "Picture", video: "Clip", audio: "Sound" },

  number(value, how) {
    try { return Number(value).toLocaleString(this.locale, how); } catch { return String(Number(value)); }
  },

  seconds(value) {
    const all = Math.max(0, Math.round(value)), minutes = Math.floor(all / 60);
    return minutes ? `${minutes} min ${String(all % 60).padStart(2, "0")} s` : `${all} s`;
  },

  // A time such as 2026-09-30 12:00 UTC, in the person's own clock and language.
  when(value) {
    const date = new Date(value.replace(" ", "T").replace(" UTC", "Z"));
    try { return date.toLocaleString(this.locale, { dateStyle: "medium", timeStyle: "short" }); } catch { return value; }
  },

  length(value) {
    const all = Math.round(value);
    return `${Math.floor(all / 60)}:${String(all % 60).padStart(2, "0")}`;
  },

  // One number, or from the least to the most.
  span(values, how = () => undefined) {
    return [...new Set(list(values).filter(Number.isFinite))].map((each) => this.number(each, how(each))).join(" to ");
  },

  credits(values) {
    const span = this.span(values);
    return span && `${span} ${span === "1" ? "credit" : "credits"}`;
  },

  dollars(values) {
    const span = this.span(values, (each) => ({ minimumFractionDigits: Number.isInteger(each) ? 0 : 2, maximumFractionDigits: 3 }));
    return span && `$${span.replace(" to ", " to $")}`;
  },

  cost({ credits, estimated_credits: about, is_free: free }) {
    if (free) return "Free";
    if (Number.isFinite(credits)) return this.credits([credits]);
    const span = this.credits(about);
    return span && `about ${span}`;
  },

  // The lines of the card of a price: what it costs, and what that leaves.
  price(answer) {
    const { estimated_credits: about, estimated_usd: usd, counted_credits: counted, balance, balance_after: after, basis } = answer;
    const much = this.credits(Number.isFinite(counted) ? [counted] : about), dollars = this.dollars([answer.counted_usd ?? usd].flat());
    const rest = Number.isFinite(after) ? after : Number.isFinite(counted ?? about?.[1]) ? balance - (counted ?? about[1]) : NaN;
    const left = rest < 0 ? "Too little is left." : this.credits([rest]) && `${this.credits([rest])} afterwards`;
    return [
      ["Price", much ? [much, dollars && `(${dollars})`].filter(Boolean).join(" ") : "Not known", "much"],
      ...list(answer.models).map((each) => [nameModel(text(each?.model)), text(each?.task_id) ? "made before, nothing more is paid" : this.credits(each?.estimated_credits) || "Not known"]),
      ["From", text(basis)],
      ["Balance", [this.credits([balance]), this.dollars([answer.balance_usd]) && `(${this.dollars([answer.balance_usd])})`, left && `- ${left}`].filter(Boolean).join(" ")],
    ].filter(([, value]) => value);
  },

  // What the agent is told to do about a question is no advice to the person whom it asks.
  advice({ category, billed, next_step: step }) {
    return `${this.billed(billed)} ${["confirmation_needed", "declined"].includes(category) ? "" : text(step)}`.trim();
  },

  billed(value) {
    return { true: "Credits were charged.", false: "Nothing was charged." }[value] ?? "Whether it was charged is unknown.";
  },
};

function goesOn(status) { return ["submitting", "running", "pricing"].includes(status); }

// A question to the user is an answer with an error, and no failure.
function stateOf({ status, error }) {
  const asks = { confirmation_needed: "asked", declined: "declined" };
  if (Object.hasOwn(asks, error?.category ?? "")) return asks[error.category];
  return Object.hasOwn(words.states, status) ? status : "running";
}

const SIDES = { square: [1, 1], landscape: [16, 9], portrait: [9, 16], widescreen: [16, 9], vertical: [9, 16], horizontal: [16, 9] };

// Width by height of what is asked for, so that its place is kept free while it is made.
function shapeOf(asked, kind) {
  for (const value of [asked.aspect_ratio, asked.size, asked.image_size, asked.resolution].map(text)) {
    const [, wide, high] = /(\d+(?:\.\d+)?)\s*[:x_*]\s*(\d+(?:\.\d+)?)/i.exec(value) ?? [];
    const ratio = wide / high;
    if (ratio > 0.1 && ratio < 10) return value.startsWith("portrait") && ratio > 1 ? 1 / ratio : ratio;
    const named = SIDES[value.toLowerCase().split(/[_ ]/)[0]];
    if (named) return named[0] / named[1];
  }
  return kind === "video" ? 16 / 9 : 1;
}

function countOf(asked, kind) {
  const count = Number(asked.count ?? asked.num_images ?? asked.n);
  return count >= 1 && count <= 12 ? Math.round(count) : kind === "audio" ? 0 : 1;
}
