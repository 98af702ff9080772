"""`Prefer` (RFC 7240): how long a caller is willing to wait."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

# name [= token or quoted text], then parameters, which none of ours has.
_PREFERENCE = re.compile(
    r"\s*(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+)"
    r"(?:\s*=\s*(?:\"(?P<quoted>[^\"\\]*)\"|(?P<token>[!#$%&'*+.^_`|~0-9A-Za-z-]*)))?"
    r"\s*(?:;[^,]*)?(?:,|$)"
)
_WHOLE_SECONDS = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for an answer; `applied` names the preferences that were honoured.

    Units: wait_s in seconds.
    """

    wait_s: float
    applied: str | None

    @property
    def headers(self) -> dict[str, str]:
        """The header that says what was honoured."""
        return {} if self.applied is None else {"Preference-Applied": self.applied}


def read_patience(values: Iterable[str], *, default_s: float, longest_s: float) -> Patience:
    """Read `wait=N` and `respond-async` out of `Prefer` headers; the rest is not for us.

    Of a preference given twice the first counts, and what cannot be read is passed over: a
    preference is a wish, never a reason to refuse.

    Units: default_s and longest_s in seconds; more than the longest is cut to it.
    """
    wishes: dict[str, str] = {}
    for name, value in _preferences(",".join(values)):
        wishes.setdefault(name, value)
    wait = wishes.get("wait", "")
    is_async = "respond-async" in wishes
    if not _WHOLE_SECONDS.fullmatch(wait):
        return Patience(0.0, "respond-async") if is_async else Patience(default_s, None)
    wait_s = min(int(wait), longest_s)
    applied = f"wait={wait_s:g}"
    return Patience(wait_s, f"respond-async, {applied}" if is_async else applied)


def _preferences(text: str) -> Iterable[tuple[str, str]]:
    position = 0
    while position < len(text):
        match = _PREFERENCE.match(text, position)
        if match is None:  # skip to the next comma
            comma = text.find(",", position)
            position = len(text) if comma < 0 else comma + 1
        else:
            position = match.end()
            yield match["name"].lower(), match["quoted"] or match["token"] or ""
