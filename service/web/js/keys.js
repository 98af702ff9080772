// The API key: asked for when the service wants one, kept until the tab is closed.

import { byId } from "./dom.js";
import { keep, recall } from "./keep.js";

export class Keys {
  #asked = null;
  #dialog = byId("key-dialog");

  constructor() {
    this.current = recall("key", "", "sessionStorage");
    byId("key-form").addEventListener("submit", () => this.#take());
    byId("key-cancel").addEventListener("click", () => this.#dialog.close());
    byId("key-forget").addEventListener("click", () => {
      this.#set("");
      location.reload();
    });
    this.#showForget();
  }

  // Asks for a key once for all who wait; returns whether one was given.
  ask(reason) {
    this.#asked ??= new Promise((resolve) => {
      const field = byId("key");
      byId("key-reason").textContent = reason;
      field.value = "";
      this.#dialog.returnValue = "";
      this.#dialog.showModal();
      field.focus();
      const closed = () => {
        this.#asked = null;
        resolve(this.#dialog.returnValue === "given");
      };
      this.#dialog.addEventListener("close", closed, { once: true });
    });
    return this.#asked;
  }

  #take() {
    // The form closes its dialog itself, with the value of the button.
    this.#set(byId("key").value.trim());
    byId("key").value = "";
  }

  #set(key) {
    this.current = key;
    keep("key", key === "" ? null : key, "sessionStorage");
    this.#showForget();
  }

  #showForget() {
    byId("key-forget").hidden = this.current === "";
  }
}
