"use strict";
// Text from result files only ever becomes text: nothing here parses HTML.
(() => {
  const SIZES = [50, 200, Infinity];
  const LONG = 160;
  const SEARCH_FROM = 8;

  function make(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value !== null) element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  }

  function counted(number) {
    return number.toLocaleString("en-US");
  }

  // --- Theme

  const THEME = "rnnbench-theme";

  function storedTheme() {
    // Reading can be refused, such as for files in some browsers.
    try { return localStorage.getItem(THEME); } catch { return null; }
  }

  function storeTheme(theme) {
    try { localStorage.setItem(THEME, theme); } catch { /* it then lasts as long as the page */ }
  }

  function isDark() {
    const chosen = document.documentElement.dataset.theme;
    return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  }

  function themeSwitch(place) {
    const button = make("button", { type: "button" });
    const name = () => { button.textContent = isDark() ? "Light colours" : "Dark colours"; };
    button.addEventListener("click", () => {
      const theme = isDark() ? "light" : "dark";
      document.documentElement.dataset.theme = theme;
      storeTheme(theme);
      name();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", name);
    name();
    place.append(button);
  }

  // --- State in the address: #cases.q=loop&cases.sort=-3 survives a reload and can be sent

  const address = {
    read() {
      return new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");
    },
    write(prefix, values) {
      const all = this.read();
      for (const key of [...all.keys()]) if (key.startsWith(prefix)) all.delete(key);
      for (const [key, value] of values) all.set(prefix + key, value);
      const text = all.toString();
      if (text || location.hash.includes("=")) {
        history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
      }
    },
  };

  // --- The command of a case

  function piecesOf(commands, row) {
    return commands.map(({ texts, of }) => texts[of ? of[row] : 0]).filter(Boolean);
  }

  const dialog = {
    open(pieces, title) {
      const box = document.getElementById("command");
      // An option and its value stay on one line; joined by blanks they are what is copied.
      const words = pieces.flatMap((piece) => [make("span", { class: "piece" }, piece), " "]);
      box.querySelector("[data-command-text]").replaceChildren(...words.slice(0, -1));
      box.querySelector("[data-command-case]").textContent = title;
      box.querySelector("[data-command-status]").textContent = "";
      const open = pieces.some((piece) => /^--rnn-(python|plugin) /.test(piece));
      box.querySelector("[data-command-hint]").hidden = !open;
      box.showModal();
      box.querySelector("[data-command-copy]").focus();
    },
    wire() {
      const box = document.getElementById("command");
      const text = box.querySelector("[data-command-text]");
      box.querySelector("[data-command-close]").addEventListener("click", () => box.close());
      box.querySelector("[data-command-copy]").addEventListener("click", async () => {
        box.querySelector("[data-command-status]").textContent = await copied(text);
      });
      // The box itself is hit only around its content: on the backdrop and its padding.
      box.addEventListener("click", (event) => { if (event.target === box) box.close(); });
    },
  };

  async function copied(element) {
    try {
      await navigator.clipboard.writeText(element.textContent);
      return "Copied.";
    } catch {
      const range = document.createRange();
      range.selectNodeContents(element);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      return "Selected: copy it with the keyboard.";
    }
  }

  // --- Tables

  class DataTable {
    constructor(root) {
      this.root = root;
      this.data = JSON.parse(root.querySelector("[data-rows]").textContent);
      this.columns = this.data.columns.map((column) => ({
        ...column,
        of: column.of || column.texts.map((_, index) => index),
        best: new Set(column.best),
      }));
      this.prefix = `${this.data.name}.`;
      this.body = root.querySelector("tbody");
      this.query = "";
      this.filters = new Map();
      this.sort = null;
      this.page = 0;
      this.size = SIZES[0];
      this.printing = false;
      this.build();
      this.restore();
      this.select();
      this.draw();
    }

    text(row, column) {
      return this.columns[column].texts[this.columns[column].of[row]];
    }

    // Controls

    build() {
      const cut = this.root.querySelector("[data-cut]");
      if (cut) cut.remove();
      this.buildHeadings();
      this.status = make("p", { role: "status", class: "count" });
      if (this.data.rows >= SEARCH_FROM) {
        const controls = this.root.querySelector("[data-controls]");
        controls.append(...this.buildControls(), this.status);
        controls.setAttribute("role", "group");
        controls.setAttribute("aria-label", `Filters: ${this.data.title}`);
      }
      if (this.data.rows > SIZES[0]) this.buildPages();
    }

    buildHeadings() {
      const headings = [...this.root.querySelectorAll("thead th")];
      this.headings = headings;
      headings.forEach((heading, column) => {
        if (this.data.rows < 2) return;
        const text = heading.textContent;
        const button = make("button", { type: "button", class: "sort" }, text);
        button.addEventListener("click", () => this.turn(column));
        // Chromium repeats no heading on a printed page that holds a button.
        heading.replaceChildren(button, make("span", { class: "paper" }, text));
      });
      if (this.data.commands) {
        headings[0].parentElement.append(make("th", { scope: "col", class: "screen" }, "Again"));
      }
    }

    buildControls() {
      this.search = make("input", { type: "search", autocomplete: "off", spellcheck: "false" });
      this.search.addEventListener("input", () => {
        this.query = this.search.value;
        this.changed();
      });
      const fields = [make("label", {}, "Search ", this.search)];
      this.selects = new Map();
      this.columns.forEach((column, index) => {
        const texts = this.choices(column);
        if (!column.choices || texts.length < 2) return;
        const options = texts.map((text) => make("option", { value: text }, text.slice(0, 80)));
        const select = make("select", {}, make("option", { value: "" }, "all"), ...options);
        // A choice may be the empty text, so that the position says whether one is made.
        select.addEventListener("change", () => {
          if (select.selectedIndex > 0) this.filters.set(index, select.value);
          else this.filters.delete(index);
          this.changed();
        });
        this.selects.set(index, select);
        fields.push(make("label", {}, `${column.heading} `, select));
      });
      const clear = make("button", { type: "button" }, "Clear");
      clear.addEventListener("click", () => this.clear());
      return [...fields, clear];
    }

    choices(column) {
      const order = column.texts.map((_, index) => index);
      order.sort((a, b) => compared(column.ranks[a], column.ranks[b], false) || a - b);
      return [...new Set(order.map((index) => column.texts[index]))];
    }

    buildPages() {
      const button = (text, step) => {
        const made = make("button", { type: "button" }, text);
        made.addEventListener("click", () => {
          this.page += step;
          this.draw();
        });
        return made;
      };
      this.previous = button("Previous", -1);
      this.next = button("Next", 1);
      this.range = make("span", { class: "range" });
      const options = SIZES.map((size) =>
        make("option", { value: String(size) }, size === Infinity ? "all" : String(size)));
      const select = make("select", {}, ...options);
      select.addEventListener("change", () => {
        this.size = Number(select.value);
        this.page = 0;
        this.draw();
      });
      const pages = this.root.querySelector("[data-pages]");
      pages.append(this.previous, this.range, this.next, make("label", {}, "Rows ", select));
      pages.setAttribute("role", "group");
      pages.setAttribute("aria-label", `Pages: ${this.data.title}`);
    }

    // What is chosen

    turn(column) {
      const same = this.sort && this.sort.column === column;
      if (!same) this.sort = { column, down: false };
      else this.sort = this.sort.down ? null : { column, down: true };
      this.changed();
    }

    clear() {
      this.query = "";
      this.filters.clear();
      this.sort = null;
      this.show();
      this.changed();
      this.search.focus();
    }

    changed() {
      this.page = 0;
      this.select();
      this.draw();
      const values = [];
      if (this.query) values.push(["q", this.query]);
      if (this.sort) values.push(["sort", (this.sort.down ? "-" : "") + this.sort.column]);
      for (const [column, text] of this.filters) values.push([`is${column}`, text]);
      address.write(this.prefix, values);
    }

    restore() {
      const values = address.read();
      const sort = /^(-?)(\d+)$/.exec(values.get(`${this.prefix}sort`) || "");
      if (sort && Number(sort[2]) < this.columns.length) {
        this.sort = { column: Number(sort[2]), down: sort[1] === "-" };
      }
      if (!this.search) return;
      this.query = values.get(`${this.prefix}q`) || "";
      for (const [column, select] of this.selects) {
        const text = values.get(`${this.prefix}is${column}`);
        if (text !== null && this.columns[column].texts.includes(text)) this.filters.set(column, text);
      }
      this.show();
    }

    show() {
      this.search.value = this.query;
      for (const [column, select] of this.selects) {
        const text = this.filters.get(column);
        const options = [...select.options];
        select.selectedIndex = text === undefined
          ? 0 : options.findIndex((option, index) => index > 0 && option.value === text);
      }
    }

    // Which rows, in which order

    select() {
      const words = this.query.toLowerCase().split(/\s+/).filter(Boolean);
      const filters = [...this.filters].map(([index, text]) => {
        const { texts, of } = this.columns[index];
        const allowed = new Set([...texts.keys()].filter((place) => texts[place] === text));
        return (row) => allowed.has(of[row]);
      });
      const lower = words.length ? this.lowered() : null;
      this.rows = [];
      for (let row = 0; row < this.data.rows; row += 1) {
        if (filters.every((allows) => allows(row))
          && words.every((word) => lower[row].includes(word))) this.rows.push(row);
      }
      if (this.sort) {
        const { ranks, of } = this.columns[this.sort.column];
        const { down } = this.sort;
        this.rows.sort((a, b) => compared(ranks[of[a]], ranks[of[b]], down) || a - b);
      }
    }

    lowered() {
      if (!this.lower) {
        const lower = this.columns.map((column) => column.texts.map((text) => text.toLowerCase()));
        this.lower = Array.from({ length: this.data.rows }, (_, row) =>
          this.columns.map((column, index) => lower[index][column.of[row]]).join("\n"));
      }
      return this.lower;
    }

    // What stands in the document

    draw() {
      const total = this.rows.length;
      const size = this.printing ? Infinity : this.size;
      const last = Math.max(0, Math.ceil(total / size) - 1);
      this.page = Math.min(Math.max(this.page, 0), last);
      const from = size === Infinity ? 0 : this.page * size;
      const to = Math.min(total, from + size);
      const rows = this.rows.slice(from, to).map((row) => this.row(row));
      this.body.replaceChildren(...(total ? rows : [this.emptyRow()]));
      const said = `${counted(total)} of ${counted(this.data.rows)} rows`;
      // Said again it would be heard again.
      if (this.status.textContent !== said) this.status.textContent = said;
      this.headings.forEach((heading, column) => {
        const is = this.sort && this.sort.column === column;
        if (is) heading.setAttribute("aria-sort", this.sort.down ? "descending" : "ascending");
        else heading.removeAttribute("aria-sort");
      });
      if (this.range) {
        this.range.textContent = total ? `${counted(from + 1)}–${counted(to)}` : "none";
        // Not `disabled`: the focus would be lost on the last page.
        this.previous.setAttribute("aria-disabled", String(this.page === 0));
        this.next.setAttribute("aria-disabled", String(this.page === last));
      }
    }

    row(row) {
      const cells = this.columns.map((column, index) => {
        const best = column.best.has(row);
        const classes = [column.right ? "right" : "", best ? "best" : ""].filter(Boolean).join(" ");
        const cell = make("td", classes ? { class: classes } : {}, shown(this.text(row, index)));
        if (best) cell.append(make("span", { class: "hidden" }, " (best)"));
        return cell;
      });
      if (this.data.commands) cells.push(make("td", { class: "screen" }, this.commandButton(row)));
      return make("tr", {}, ...cells);
    }

    emptyRow() {
      const columns = String(this.columns.length + (this.data.commands ? 1 : 0));
      const text = this.data.rows ? "No row matches." : "There are no rows.";
      return make("tr", {}, make("td", { colspan: columns }, text));
    }

    commandButton(row) {
      const name = this.name(row);
      const button = make("button", { type: "button", "aria-label": `Command: ${name}` }, "Command");
      button.addEventListener("click", () => dialog.open(piecesOf(this.data.commands, row), name));
      return button;
    }

    // What a row is about: the columns that it can be chosen by, numbers with their headings.
    name(row) {
      const words = [];
      this.columns.forEach((column, index) => {
        const text = this.text(row, index).slice(0, 60);
        if (column.choices) words.push(column.right ? `${column.heading} ${text}` : text);
      });
      return words.join(", ") || `row ${row + 1}`;
    }

    print(printing) {
      // What is folded away is not printed, and need not be made.
      if (this.printing === printing || this.root.closest("details:not([open])")) return;
      if (printing) this.before = this.page;
      else this.page = this.before;
      this.printing = printing;
      this.draw();
    }
  }

  // Missing values, of rank -1, come last in either direction.
  function compared(a, b, down) {
    if (a === b) return 0;
    if (a < 0) return 1;
    if (b < 0) return -1;
    return down ? b - a : a - b;
  }

  function shown(text) {
    if (text.length <= LONG) return make("bdi", {}, text);
    return make("details", {}, make("summary", {}, `${text.slice(0, 120)}…`), text);
  }

  // --- Start

  const theme = storedTheme();
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;

  document.addEventListener("DOMContentLoaded", () => {
    document.documentElement.classList.add("scripted");
    themeSwitch(document.querySelector("[data-theme-switch]"));
    dialog.wire();
    const tables = [];
    const start = (root) => tables.push(new DataTable(root));
    for (const root of document.querySelectorAll("[data-table]")) {
      const folded = root.closest("details.behind");
      if (folded) folded.addEventListener("toggle", () => start(root), { once: true });
      else start(root);
    }
    const print = (printing) => tables.forEach((table) => table.print(printing));
    addEventListener("beforeprint", () => print(true));
    addEventListener("afterprint", () => print(false));
    matchMedia("print").addEventListener("change", (event) => print(event.matches));
    // What the address chose is worth seeing at once.
    const keys = [...address.read().keys()];
    const chosen = tables.find((table) => keys.some((key) => key.startsWith(table.prefix)));
    if (chosen) chosen.root.scrollIntoView();
  });
})();
