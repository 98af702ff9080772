// The public puzzles that come with the page: [{title, task}].

export async function readExamples() {
  try {
    return await (await fetch("web/examples.json")).json();
  } catch {
    return []; // the service has just gone away; all else works without them
  }
}
