"use strict";
// Sorting, filtering, seeds on hover, and single examples. Text is only ever written as text.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const element = (tag, attributes = {}, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  };
  const words = (one, name) => (one.dataset[name] || "").split(" ").filter(Boolean);
  const labelled = (text, options) => {
    const select = element("select");
    for (const one of options) select.append(new Option(one, one));
    return [element("label", {}, `${text} `, select), select];
  };

  // One page at a time: the one that the address names, or the one with the heading that it names.
  const pages = [...document.querySelectorAll("main .page")];
  const ways = [...document.querySelectorAll("nav a")];
  const open = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const page = (target && target.closest(".page")) || pages[0];
    for (const one of pages) one.hidden = one !== page;
    for (const way of ways) {
      if (way.hash === `#${page.id}`) way.setAttribute("aria-current", "page");
      else way.removeAttribute("aria-current");
    }
    hide();
    if (target && target !== page) target.scrollIntoView();
    else window.scrollTo(0, 0);
  };

  // Tables scroll by themselves, and every heading sorts.
  const tables = [...document.querySelectorAll("main table")];
  // A line without a name of its own belongs to the one above it.
  const groupsOf = (body) => {
    const groups = [];
    for (const line of body.rows) {
      if (groups.length && !line.cells[0].textContent.trim()) groups.at(-1).push(line);
      else groups.push([line]);
    }
    return groups;
  };
  const valueOf = (line, column) => {
    const cell = line.cells[column];
    return { text: cell.textContent.trim(), number: cell.dataset.value === undefined ? NaN : Number(cell.dataset.value) };
  };
  const compare = (a, b) => {
    const numbers = Number(Number.isNaN(a.number)) - Number(Number.isNaN(b.number));
    if (numbers) return numbers;
    return Number.isNaN(a.number) ? a.text.localeCompare(b.text) : a.number - b.number;
  };
  const makeSortable = (table) => {
    const body = table.tBodies[0];
    if (!body || body.rows.length < 2) return;
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      if (!head.textContent.trim()) return;
      const button = element("button", { type: "button" }, ...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((one) => one.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const keyed = groupsOf(body).map((lines) => [valueOf(lines[0], column), lines]);
        keyed.sort((a, b) => (down ? compare(b[0], a[0]) : compare(a[0], b[0])));
        for (const [, lines] of keyed) body.append(...lines);
      });
    });
  };
  for (const table of tables) {
    const name = table.getAttribute("aria-label");
    const frame = element("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": name });
    table.removeAttribute("aria-label");
    table.replaceWith(frame);
    frame.append(table);
    makeSortable(table);
  }

  // One profile or one row at a time.
  const lines = [...document.querySelectorAll("main tr[data-rows], main tr[data-profiles]")];
  const sections = [...document.querySelectorAll("main section[data-profiles]")];
  const all = (name) => [...new Set([...lines, ...sections].flatMap((one) => words(one, name)))].sort();
  const filter = document.getElementById("filter");
  const [profileLabel, profile] = labelled(filter.dataset.profiles, ["all", ...all("profiles")]);
  const [rowLabel, row] = labelled(filter.dataset.rows, ["all", ...all("rows")]);
  const reset = element("button", { type: "button", class: "plain" }, "Show everything");
  const status = element("span", { role: "status", class: "quiet" });
  const fits = (one, name, wanted) => {
    const own = words(one, name);
    return wanted === "all" || !own.length || own.includes(wanted);
  };
  const apply = () => {
    for (const one of sections) one.hidden = !fits(one, "profiles", profile.value);
    for (const one of lines) {
      one.hidden = !(fits(one, "profiles", profile.value) && fits(one, "rows", row.value));
    }
    const hidden = lines.filter((one) => one.hidden).length;
    status.textContent = hidden ? `${hidden} of ${lines.length} lines of all pages hidden` : "";
  };
  profile.addEventListener("change", apply);
  row.addEventListener("change", apply);
  reset.addEventListener("click", () => {
    profile.value = row.value = "all";
    apply();
  });
  filter.append(profileLabel, rowLabel, reset, status);
  filter.hidden = false;

  // Every seed behind a mean.
  const tip = document.getElementById("tip");
  const hide = () => {
    tip.hidden = true;
  };
  const show = (button) => {
    tip.textContent = button.dataset.seeds.replaceAll("; ", "\n");
    tip.hidden = false;
    const place = button.getBoundingClientRect();
    const right = document.documentElement.clientWidth - tip.offsetWidth - 8;
    tip.style.left = `${window.scrollX + Math.max(8, Math.min(place.left, right))}px`;
    tip.style.top = `${window.scrollY + place.bottom + 6}px`;
  };
  for (const button of document.querySelectorAll(".seeds")) {
    button.setAttribute("aria-describedby", "tip");
    for (const event of ["mouseenter", "focus", "click"]) button.addEventListener(event, () => show(button));
    for (const event of ["mouseleave", "blur"]) button.addEventListener(event, hide);
  }
  document.addEventListener("keydown", (event) => event.key === "Escape" && hide());

  // Single examples, by the cell of the confusion matrix that they are in.
  const start = () => {
    window.addEventListener("hashchange", open);
    open();
  };
  if (!data.records.length) {
    document.getElementById("page-examples").remove();
    pages.pop();
    start();
    return;
  }
  const examples = document.getElementById("page-examples");
  ways.at(-1).hidden = false;
  // A matrix of more classes is longer than anybody reads: its cells are listed, errors first.
  const MOST_CLASSES = 40;
  const MOST_PAIRS = 200;
  const confusion = (record) => {
    const counts = record.labels.map(() => record.labels.map(() => 0));
    for (const [truth, taken, count] of record.cells) counts[truth][taken] = count;
    return counts;
  };
  const unpack = (text) => {
    const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
    return Array.from({ length: bytes.length / 2 }, (_, n) => (bytes[2 * n] + 256 * bytes[2 * n + 1]) / 65535);
  };
  const of = (name, records) => [...new Set(records.map((one) => String(one[name])))];
  const [aLabel, aProfile] = labelled("Profile", of("profile", data.records));
  const [bLabel, aRow] = labelled("Row", []);
  const [cLabel, aSeed] = labelled("Seed", []);
  const grid = element("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Confusion matrix" });
  const list = element("div", { id: "list", "aria-live": "polite" });
  const fill = (select, values) => {
    const before = select.value;
    select.replaceChildren(...values.map((one) => new Option(one, one)));
    if (values.includes(before)) select.value = before;
  };
  const chosen = () => data.records.filter((one) => one.profile === aProfile.value);
  const tell = (record, truth, taken) => {
    const dev = data.dev[record.dev];
    const sure = unpack(record.confidence);
    const predictions = record.predictions.split(" ").map(Number);
    const found = predictions.flatMap((one, n) => (one === taken && dev.gold[n] === truth ? [n] : []));
    const count = (record.cells.find((one) => one[0] === truth && one[1] === taken) || [0, 0, 0])[2];
    const heading = `${record.labels[truth]} taken for ${record.labels[taken]}`;
    const title = truth === taken ? `${record.labels[truth]}, recognised` : heading;
    const items = found.map((n) => {
      const number = sure.length ? `example ${n + 1}, confidence ${sure[n].toFixed(2)}` : `example ${n + 1}`;
      const text = dev.texts ? [" ", element("span", { lang: "zh" }, dev.texts[n])] : [];
      return element("li", {}, element("span", { class: "quiet" }, number), ...text);
    });
    const missing = count - found.length;
    const notes = [];
    if (!dev.texts) notes.push("The texts of this data set are not in this page; numbers count the examples of its dev set from 1.");
    if (missing) notes.push(`${missing} more that no record gets right, so the records do not tell which they are.`);
    list.replaceChildren(
      element("h2", {}, `${title}: ${count}`),
      element("ol", {}, ...items),
      ...notes.map((one) => element("p", { class: "quiet" }, one)),
    );
    list.scrollIntoView({ block: "nearest" });
  };
  const pairs = (record) => {
    const wrong = (one) => one[0] !== one[1];
    const cells = [...record.cells].sort((a, b) => wrong(b) - wrong(a) || b[2] - a[2]).slice(0, MOST_PAIRS);
    const body = element("tbody");
    for (const [truth, taken, count] of cells) {
      const name = `${record.labels[truth]} taken for ${record.labels[taken]}: ${count}`;
      const button = element("button", { type: "button", "aria-label": name, "aria-pressed": "false" }, String(count));
      button.addEventListener("click", () => {
        for (const one of body.querySelectorAll("button")) one.setAttribute("aria-pressed", String(one === button));
        tell(record, truth, taken);
      });
      const words = [truth, taken].map((one) => element("td", { lang: "zh" }, record.labels[one]));
      body.append(element("tr", {}, ...words, element("td", {}, button)));
    }
    const head = ["true", "predicted", "examples"].map((one) => element("th", { scope: "col" }, one));
    grid.replaceChildren(element("table", {}, element("thead", {}, element("tr", {}, ...head)), body));
  };
  const draw = () => {
    const record = chosen().find((one) => one.row === aRow.value && String(one.seed) === aSeed.value);
    list.replaceChildren();
    if (record.labels.length > MOST_CLASSES) {
      pairs(record);
      return;
    }
    const head = element("tr", {}, element("th", { scope: "col" }, "true \\ predicted"));
    for (const label of record.labels) head.append(element("th", { scope: "col", lang: "zh" }, label));
    const body = element("tbody");
    confusion(record).forEach((counts, truth) => {
      const line = element("tr", {}, element("th", { scope: "row", lang: "zh" }, record.labels[truth]));
      const total = counts.reduce((a, b) => a + b, 0);
      counts.forEach((count, taken) => {
        const cell = element("td", {}, count ? "" : "0");
        if (count) {
          const name = `${record.labels[truth]} taken for ${record.labels[taken]}: ${count}`;
          const button = element("button", { type: "button", "aria-label": name, "aria-pressed": "false" }, String(count));
          button.style.setProperty("--of-class", (0.55 * count) / total);
          button.addEventListener("click", () => {
            for (const one of body.querySelectorAll("button")) one.setAttribute("aria-pressed", String(one === button));
            tell(record, truth, taken);
          });
          cell.append(button);
        }
        line.append(cell);
      });
      body.append(line);
    });
    grid.replaceChildren(element("table", { class: "matrix" }, element("thead", {}, head), body));
  };
  const choose = () => {
    fill(aRow, of("row", chosen()));
    fill(aSeed, of("seed", chosen().filter((one) => one.row === aRow.value)));
    draw();
  };
  for (const select of [aProfile, aRow, aSeed]) select.addEventListener("change", choose);
  const how = "Dev examples by true and predicted class of one run. A number opens the examples behind it.";
  examples.append(element("p", {}, how), element("div", { class: "choices" }, aLabel, bLabel, cLabel), grid, list);
  choose();
  start();
})();
