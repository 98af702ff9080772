// Server-sent events out of a stream of bytes. EventSource cannot send a key along.

// Reads pieces of text as they come; gives the events that are complete: {id, event, data}.
export class EventDecoder {
  #rest = "";
  #lines = [];
  #lastId = "";

  push(text) {
    const found = [];
    const parts = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = parts.pop();
    for (const line of parts) {
      if (line !== "") this.#lines.push(line);
      else if (this.#lines.length > 0) {
        const event = this.#read(this.#lines);
        this.#lines = [];
        if (event !== null) found.push(event);
      }
    }
    return found;
  }

  #read(lines) {
    let kind = "message";
    const data = [];
    for (const text of lines) {
      if (text.startsWith(":")) continue;
      const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(text);
      if (field === "event") kind = value;
      else if (field === "data") data.push(value);
      else if (field === "id") this.#lastId = value;
    }
    return data.length === 0 ? null : { id: this.#lastId, event: kind, data: data.join("\n") };
  }
}
