// The search field: a combobox over all that is listed, by the beginning of the id.

import { priceFormat } from "./format.js";

const SHOWN = 8;
const PAUSE = 120;

/** Wires the field; `onChoose(id)` gets what is chosen. */
export class Search {
  #input; #list; #none; #onChoose; #timer = 0; #asked = 0; #active = -1;

  constructor(input, list, none, onChoose) {
    this.#input = input;
    this.#list = list;
    this.#none = none;
    this.#onChoose = onChoose;
    input.addEventListener("input", () => this.#later());
    input.addEventListener("focus", () => this.#later());
    input.addEventListener("blur", () => this.#close());
    input.addEventListener("keydown", (event) => this.#key(event));
    // Before the field loses its focus, which closes the list.
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
    this.#timer = setTimeout(() => this.#find(), PAUSE);
  }

  async #find() {
    const text = this.#input.value.trim();
    const asked = ++this.#asked;
    // Ids are exact; most are in capitals.
    const prefixes = [...new Set([text, text.toUpperCase()])];
    const pages = await Promise.all(prefixes.map(page));
    if (asked !== this.#asked || document.activeElement !== this.#input) return;
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
    this.#asked++;
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
      const chosen = options[this.#active]?.dataset.id ?? this.#meant(options);
      if (chosen !== "") this.#choose(chosen);
    } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && options.length > 0) {
      const step = event.key === "ArrowDown" ? 1 : -1;
      const from = this.#active < 0 && step < 0 ? 0 : this.#active;
      this.#active = (from + step + options.length) % options.length;
      options.forEach((option, place) => option.setAttribute("aria-selected", String(place === this.#active)));
      options[this.#active].scrollIntoView({ block: "nearest" });
      this.#input.setAttribute("aria-activedescendant", options[this.#active].id);
    } else {
      return;
    }
    event.preventDefault();
  }

  /** What is meant by the text as it stands: the first that begins with it, if the list is of that text already. */
  #meant(options) {
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
    const answer = await fetch(`/instruments?limit=${SHOWN}&prefix=${encodeURIComponent(prefix)}`);
    return answer.ok ? (await answer.json()).instruments : [];
  } catch {
    return [];
  }
}

function option({ id, description, lastPrice }, place) {
  const made = document.createElement("div");
  made.id = `found-${place}`;
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

/** One price alone doesn't tell its instrument's decimals: as many as it has, within four. */
function decimals(price) {
  return Math.min(4, Math.max(2, (String(price).split(".")[1] ?? "").length));
}
