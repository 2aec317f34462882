// Cards of answers that are about no single task: tasks, what was found, what was spent, and the balance.
function row({ what, state, facts, share, show }) {
  const told = [state && make("span", { class: "state" }, words.states[state]), ...facts.filter(Boolean).map((each) => make("span", {}, each))];
  const shown = make("li", { "data-state": state, class: share !== undefined && "shared" },
    make("div", {}, make("p", { class: "what" }, what), make("p", { class: "facts" }, ...told.filter(Boolean))),
    show && make("button", { type: "button", "aria-label": `Show: ${what}`, onclick: show }, "Show"));
  if (share !== undefined) shown.style.setProperty("--share", `${100 * share}%`);
  return shown;
}

// A list is one card, and none of its tasks takes its place.
function showList(answer) {
  card("").update({ status: "succeeded", ...answer });
  cards.delete("");
}

function tellFound(all, more) {
  return `${all.length}${more ? " and more" : ""} found`;
}

function showFound({ made, next_cursor: more }) {
  const { prompt } = card("").answer;
  showList({
    made, told: tellFound(made, more), title: prompt ? `Library: ${prompt}` : "Library",
    note: made.length ? "" : "Nothing like that was made.", more: more && `Show me more of the library: the same, with cursor ${more}.`,
  });
}

function showTasks({ tasks, next_cursor: more }) {
  const { prompt } = card("").answer;
  const rows = tasks.map(({ task_id: id, status, model, created, prompt: asked, files }) => ({
    what: text(asked) || nameModel(text(model)),
    state: stateOf({ status }),
    facts: [text(asked) && nameModel(text(model)), words.when(text(created)), files > 0 && `${files} ${files === 1 ? "file" : "files"}`],
    show: () => showHere(text(id)),
  }));
  showList({
    rows, told: tellFound(tasks, more), title: prompt ? `Tasks: ${prompt}` : "Tasks",
    note: tasks.length ? "" : "There are no such tasks.", more: more && `Show me the tasks before these: list_tasks with cursor ${more}.`,
  });
}

async function showHere(id) {
  const shown = card(id);
  shown.element.scrollIntoView({ block: "nearest" });
  await shown.claim();
}

function showSpending({ by, days, lines, more, all }) {
  const spent = (line) => [line.charged, line.failed_charged, line.expired_charged].filter(Number.isFinite).reduce((sum, each) => sum + each, 0);
  const much = (line) => [words.credits([spent(line)]), words.dollars([line.usd]) && `(${words.dollars([line.usd])})`].filter(Boolean).join(" ");
  const most = Math.max(...lines.map(spent), 0);
  const rows = lines.map((line) => ({
    what: { model: nameModel, kind: (kind) => words.kinds[kind] ?? kind }[by]?.(text(line.of)) ?? text(line.of),
    facts: [much(line), `${line.succeeded} of ${line.tasks} made`, line.open > 0 && `${words.credits([line.open])} still open`],
    share: most ? spent(line) / most : 0,
  }));
  const note = lines.length ? more > 0 && `And ${more} more.` : "Nothing was made in this time.";
  showList({ rows, told: much(all), title: `Spent in the last ${days} days`, note: text(note) });
}

function showBalance({ credits, usd, shared }) {
  showList({ title: "KIE.ai account", told: shared ? "shared by all users of this server" : "", sum: [["Balance", [words.credits([credits]), words.dollars([usd]) && `(${words.dollars([usd])})`].filter(Boolean).join(" "), "much"]] });
}

// What shows an answer that is about no single task; nothing for other answers.
function listOf(answer) {
  if (Array.isArray(answer.made)) return showFound;
  if (Array.isArray(answer.lines)) return showSpending;
  if (Array.isArray(answer.tasks) && answer.tasks.every((each) => each?.created)) return showTasks;
  if (Number.isFinite(answer.credits) && !answer.status) return showBalance;
  return undefined;
}
