// The words of the page that a newcomer does not know, each explained in a sentence or two.

export const TERMS = {
  adapt: [
    "adapt",
    "A copy of a model is trained for a while on the puzzle’s demonstrations, and then answers it. Puzzles that a model has learned already need none of this.",
  ],
  adapt_s: ["time to adapt", "Training ends after so many seconds at the most."],
  adapt_variants: [
    "variants to adapt",
    "How many variants of the puzzle are trained and then vote. More take longer and average more.",
  ],
  adapted: [
    "adapted checkpoints",
    "Copies of a model that were trained on one puzzle for you. They are kept so that the same puzzle is answered at once next time. Deleting one frees its space; it can be made again.",
  ],
  agreement: [
    "agreement",
    "For each cell, how many of the votes have the same there as the first attempt. Pale cells are agreed on; dark ones are disputed.",
  ],
  attempt: ["attempts", "The answers to a test input, the best first. ARC allows two."],
  batch: [
    "batch",
    "Many puzzles sent at once. Each becomes a job; puzzles sent one by one go before them.",
  ],
  candidate: ["candidates", "The different grids that at least one variant answered, by votes."],
  checkpoint: [
    "checkpoint",
    "A trained model: a network, and what it has learned of each of its puzzles. Left alone, the service takes one that knows the puzzle, or adapts one to it.",
  ],
  confidence: [
    "confidence",
    "Confidence: how often answers with such votes were right when this model was measured.",
  ],
  deadline: ["time limit", "The job is given up when it is not done after so many seconds."],
  ensemble: ["also vote with", "Other models that answer too; all their votes count alike."],
  halting: [
    "halting",
    "When a variant stops: once its answer has settled (act), or after all segments (fixed), which takes longer and rarely changes the answer.",
  ],
  held_out: [
    "held out",
    "Some answers are kept back from training. If they come out right, adapting has worked; if they do not, the answer is a guess.",
  ],
  loss: ["loss", "How wrong the training still is; it should fall towards 0."],
  priority: ["priority", "Interactive jobs go before batch ones."],
  q: [
    "q",
    "How right the network thinks its own answer is, from 0 to 1. It decides between grids with equal votes.",
  ],
  ranking: [
    "ranking",
    "What makes a grid the first attempt: the number of its votes, or the sum of their q.",
  ],
  row: [
    "rows",
    "What a model holds of one puzzle in one variant: a trained vector. Without a row it cannot answer.",
  ],
  seed: ["seed", "Draws which variants vote when not all do. The same seed gives the same answer."],
  segment: [
    "segments",
    "One pass of the network over its answer. It makes passes until the answer settles: few for an easy puzzle, many for a hard one.",
  ],
  self_test: [
    "self-test",
    "Before a model is served, it must solve demonstrations of puzzles that it was trained on.",
  ],
  trace: [
    "every variant’s answer",
    "Needed for the walk through the variants beneath an answer. Without it the answer is smaller.",
  ],
  variant: [
    "variants",
    "The puzzle turned, mirrored or with its colours or digits exchanged. Each variant is answered by itself, and its answer turned back is one vote.",
  ],
  vote: [
    "votes",
    "One answer of one variant, turned back. Votes show how far the answers agree, not whether they are right.",
  ],
  whole_vote: [
    "whole vote",
    "By default the vote ends once the attempts can no longer change. The attempts are the same either way; the counts are complete.",
  ],
};
