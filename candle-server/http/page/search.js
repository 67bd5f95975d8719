// The search field: a combobox that finds listed instruments by a prefix of their id.

import { priceFormat } from "./format.js";

const SHOWN = 8;
const DEBOUNCE_MS = 120;

/** The search field and its list of results. Calls `onChoose(id)` when the user selects an instrument. */
export class Search {
  #input; #list; #none; #onChoose; #timer = 0; #request = 0; #active = -1;

  constructor(input, list, none, onChoose) {
    this.#input = input;
    this.#list = list;
    this.#none = none;
    this.#onChoose = onChoose;
    input.addEventListener("input", () => this.#later());
    input.addEventListener("focus", () => this.#later());
    input.addEventListener("blur", () => this.#close());
    input.addEventListener("keydown", (event) => this.#key(event));
    // The list listens to mousedown: before a click event, the field would lose its focus and close the list.
    list.addEventListener("mousedown", (event) => {
      event.preventDefault();
      const option = event.target.closest("[role=option]");
      if (option !== null) this.#choose(option.dataset.id);
    });
  }

  focus() {
    this.#input.focus();
    this.#input.select();
  }

  #later() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#find(), DEBOUNCE_MS);
  }

  async #find() {
    const text = this.#input.value.trim();
    const request = ++this.#request;
    // Ids are case-sensitive, and most ids are in capitals. So the text is also searched in capitals.
    const prefixes = [...new Set([text, text.toUpperCase()])];
    const pages = await Promise.all(prefixes.map(page));
    if (request !== this.#request || document.activeElement !== this.#input) return;
    this.#draw([...new Map(pages.flat().map((found) => [found.id, found])).values()].slice(0, SHOWN), text);
  }

  #draw(found, text) {
    this.#active = -1;
    this.#input.removeAttribute("aria-activedescendant");
    this.#list.replaceChildren(...found.map(option));
    const isOpen = found.length > 0;
    this.#list.hidden = !isOpen;
    this.#input.setAttribute("aria-expanded", String(isOpen));
    this.#none.hidden = isOpen;
    this.#none.textContent = text === "" ? "Nothing is listed yet." : `No instrument begins with “${text}”.`;
  }

  #close() {
    this.#request++;
    clearTimeout(this.#timer);
    this.#list.hidden = true;
    this.#none.hidden = true;
    this.#input.setAttribute("aria-expanded", "false");
    this.#input.removeAttribute("aria-activedescendant");
  }

  #key(event) {
    const options = this.#list.hidden ? [] : [...this.#list.children];
    if (event.key === "Escape") {
      this.#input.value = "";
      this.#input.blur();
    } else if (event.key === "Enter") {
      const chosen = options[this.#active]?.dataset.id ?? this.#bestMatch(options);
      if (chosen !== "") this.#choose(chosen);
    } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && options.length > 0) {
      const step = event.key === "ArrowDown" ? 1 : -1;
      const from = this.#active < 0 && step < 0 ? 0 : this.#active;
      this.#active = (from + step + options.length) % options.length;
      options.forEach((option, index) => option.setAttribute("aria-selected", String(index === this.#active)));
      options[this.#active].scrollIntoView({ block: "nearest" });
      this.#input.setAttribute("aria-activedescendant", options[this.#active].id);
    } else {
      return;
    }
    event.preventDefault();
  }

  /** Returns the text if it is a listed id, otherwise the first option that begins with the text in any case. */
  #bestMatch(options) {
    const text = this.#input.value.trim();
    const ids = options.map((option) => option.dataset.id);
    if (text === "" || ids.includes(text)) return text;
    return ids.find((id) => id.toUpperCase().startsWith(text.toUpperCase())) ?? text;
  }

  #choose(id) {
    this.#input.value = "";
    this.#input.blur();
    this.#onChoose(id);
  }
}

async function page(prefix) {
  try {
    const response = await fetch(`/instruments?limit=${SHOWN}&prefix=${encodeURIComponent(prefix)}`);
    return response.ok ? (await response.json()).instruments : [];
  } catch {
    return [];
  }
}

function option({ id, description, lastPrice }, index) {
  const made = document.createElement("div");
  made.id = `found-${index}`;
  made.role = "option";
  made.setAttribute("aria-selected", "false");
  made.dataset.id = id;
  const parts = { b: id, small: description ?? "", span: lastPrice === null ? "" : priceFormat(decimals(lastPrice))(lastPrice) };
  for (const [name, text] of Object.entries(parts)) {
    const part = document.createElement(name);
    part.textContent = text;
    made.append(part);
  }
  return made;
}

/** Returns the number of decimals to show for one price: 2 to 4. One price does not show how many its instrument has. */
function decimals(price) {
  return Math.min(4, Math.max(2, (String(price).split(".")[1] ?? "").length));
}
