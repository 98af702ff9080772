// What an answer was made with: all that is needed to repeat it.

import { h } from "./dom.js";
import { withHelp } from "./help.js";
import { count, dateTime, percent, seconds } from "./words.js";

const VERIFIED = { true: "passed", false: "not passed" };

export function factsOf({ id, result, created_at: created }) {
  const facts = [
    ["Job", h("code", {}, id)],
    ["Asked", dateTime(created)],
    ...result.members.flatMap((member) => memberFacts(member)),
    result.members.some(({ enrolment }) => enrolment === "rules")
      ? ["Rules", result.verified ? "obeyed" : "broken"]
      : [withHelp("Self-test", "self_test"), VERIFIED[result.verified] ?? "not said"],
    [
      withHelp("Halting", "halting"),
      `${result.halting}, ${count(result.max_segments, "segment")} at most`,
    ],
    [withHelp("Ranking", "ranking"), result.ranking],
    [withHelp("Seed", "seed"), String(result.seed)],
    [
      withHelp("Early stop", "whole_vote"),
      result.stop_early ? "on: counts may be those of a part of the variants" : "off",
    ],
    [
      "Runs on",
      `${result.device}, ${result.precision}, ${result.attention}, ${count(result.slots, "slot")}`,
    ],
    [
      withHelp("Segments", "segment"),
      result.tests.reduce((sum, test) => sum + test.segments, 0).toLocaleString("en"),
    ],
    [
      "Time",
      Object.entries(result.timings_s)
        .map(([stage, value]) => `${stage} ${seconds(value)}`)
        .join(" · "),
    ],
  ];
  return facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]);
}

function memberFacts({
  checkpoint,
  checkpoint_sha256: sha256,
  enrolled_as: enrolled,
  enrolment,
  adaptation,
}) {
  const name = h("span", {}, `${checkpoint} `, h("code", { title: sha256 }, sha256.slice(0, 12)));
  const facts = [[withHelp("Checkpoint", "checkpoint"), name]];
  if (enrolment !== "rules") facts.push(["Known as", `${enrolled}, ${enrolment}`]);
  if (adaptation) {
    const {
      base,
      steps,
      seconds: taken,
      held_out_share: share,
      held_out_note: note,
      reused,
    } = adaptation;
    const held = share === null ? note : `${percent(share)} right on what was held out`;
    const kept = reused ? ", kept from an earlier job" : "";
    facts.push([
      withHelp("Adapted", "adapt"),
      `from ${base}: ${count(steps, "step")} in ${seconds(taken)}; ${held}${kept}`,
    ]);
  }
  return facts;
}
