"""Letters that talk to the agent instead of the shop. Pure, linear in the letter's length.

A found phrase proves nothing; it sends the case to a person. What is not found proves nothing either:
the gate, not this list, keeps a letter from moving money.
"""

from __future__ import annotations

import re
import unicodedata

_READ_AT_MOST = 200_000
_TOOL_VERBS = (
    r"orders\.get|returns\.(?:request|approve|decline|cancel|close|reopen|receive|inspect|process|calculate|get"
    r"|returnable_items)|refunds\.create|store_credit\.issue|exchanges\.create|labels\.(?:create_return|void)"
    r"|messages\.send|customers\.return_history|rules\.evaluate|vision\.score|people\.ask"
)
_PHRASES = [
    re.compile(pattern)
    for pattern in (
        r"\b(?:ignore|disregard|forget|override|bypass)\b[\w ,']{0,40}"
        r"\b(?:instructions?|rules?|prompts?|polic(?:y|ies)|guidelines|previous|above)\b",
        r"\byou are now\b(?! (?:able|aware|ready|closed|open|the (?:second|third|fourth)))",
        r"\b(?:pretend|act) (?:to be|as if you|as an? (?:admin|agent|ai|assistant|manager|system))\b",
        r"\b(?:system|developer) (?:prompt|mode|message|override|instructions?)\b",
        r"(?:^|[\n>*#\"'\]) ])(?:system|assistant|developer) ?:",
        r"\binstructions? (?:to|for) (?:the )?(?:agent|ai|assistant|model|bot)\b",
        r"\b(?:new|updated|real|hidden) instructions\b",
        r"<\|[\w ]{1,30}\|>|\[/?inst\]|</?(?:system|assistant|tool|tool_call|instructions?|prompt)>",
        r"##+ ?(?:system|instruction)",
        r"\b(?:without|no need for|skip(?:ping)?|bypass(?:ing)?) (?:any |an? |the |further |human |manual |your )*"
        r"(?:approval|review|confirmation|checks?|verification|countersign\w*)\b",
        r"\b(?:do not|don't|never) (?:ask|tell|inform|notify|escalate to|involve|alert) (?:a |an |any |the |your )*"
        r"(?:human|person|people|manager|reviewer|supervisor|anyone|anybody|staff)\b",
        r"\balready (?:been )?(?:pre-?)?(?:approved|authori[sz]ed) by\b|\bpre-?approved\b",
        r"\bas (?:an? )?(?:ai|language model|automated agent|assistant)\b,? (?:you|it is)",
        r"\b(?:call|use|invoke|run|execute) the [\w.]{2,40} (?:tool|function)\b",
        r"[\"'](?:tool|tool_calls?|function|arguments)[\"'] ?:",
        rf"\b(?:{_TOOL_VERBS})\b",
    )
]
_BLOB = re.compile(r"[A-Za-z0-9+/]{80,}={0,2}")
_INVISIBLE = dict.fromkeys([*map(ord, "\u200b\u2060\ufeff"), *range(0xE0000, 0xE0080)])


def note_flags(text: str) -> tuple[str, ...]:
    """The phrases of a letter that read like instructions to an agent, each once, in the order of the checks."""
    found = [] if len(text) <= _READ_AT_MOST else ["too long to be read to its end"]
    text = text[:_READ_AT_MOST]
    shown = text.translate(_INVISIBLE)
    if len(shown) < len(text):
        found.append("invisible characters")
    plain = re.sub(r"[^\S\n]+", " ", unicodedata.normalize("NFKC", shown).casefold().replace("’", "'"))
    for pattern in _PHRASES:
        for match in pattern.finditer(plain):
            found.append(match[0].strip()[:80])
    found += [f"encoded text: {blob[0][:24]}…" for blob in _BLOB.finditer(shown) if _looks_encoded(blob[0])]
    return tuple(dict.fromkeys(found))


def _looks_encoded(blob: str) -> bool:
    return any(c.islower() for c in blob) and any(c.isupper() for c in blob) and any(c.isdigit() for c in blob)
