// What the service says no to, in words for people in front of the page.

const MESSAGES = {
  not_ready:
    "The service is starting: its models are being loaded and tested. Solve once it says ready.",
  unauthorized: "This service needs an API key.",
  unknown_puzzle: "This model has not learned this puzzle (names don’t matter).",
  job_not_found: "This job does not exist or has expired.",
  batch_not_found: "This batch does not exist or has expired.",
  adapted_not_found: "This adapted checkpoint does not exist any more.",
};

export function messageOf(error) {
  return MESSAGES[error.code] ?? error.message;
}
