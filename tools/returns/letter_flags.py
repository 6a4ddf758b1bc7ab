"""Letters that talk to the agent instead of the shop. Pure, linear in the letter's length.

A found phrase proves nothing; it sends the case to a person. What is not found proves nothing either:
the gate, not this list, keeps a letter from moving money.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_READ_AT_MOST = 200_000
_MACHINE = r"(?:agent|ai|assistant|(?:chat|refund)? ?bot|language model|llm|model)"
_TOOL = (
    r"orders\.get|returns\.(?:request|approve|decline|cancel|close|reopen|receive|inspect|process|calculate|get"
    r"|returnable_items)|refunds\.create|store_credit\.issue|exchanges\.create|labels\.(?:create_return|void)"
    r"|messages\.send|customers\.return_history|variants\.get|rules\.evaluate|vision\.score|people\.ask"
)
_CHECK = r"(?:approval|review|inspection|checks?|verification|polic(?:y|ies)|rules?|countersign\w*)"
_PERSON = r"(?:human|person|people|manager|reviewer|supervisor|anyone|anybody|staff|colleague)"
_SOME = r"(?:any |an? |the |further |human |manual |your )*"
_PHRASES = [
    re.compile(pattern)
    for pattern in (
        r"\b(?:ignore|disregard|forget|override|bypass)\b[\w ,']{0,40}"
        r"\b(?:instructions?|rules?|prompts?|polic(?:y|ies)|guidelines)\b",
        r"\b(?:ignore|disregard|forget) (?:all |any |everything )?(?:the )?(?:previous|prior|above)\b",
        r"\byou are now\b(?! (?:able|aware|ready|closed|open|the (?:second|third|fourth)))",
        rf"\byou are (?:an? |the |now )*(?:\w+ ){{0,2}}{_MACHINE}\b",
        rf"\b(?:pretend|act) (?:to be|as if you|as (?:an? |the )?(?:{_MACHINE}|admin|manager|system))\b",
        rf"\b(?:automated|dear|attention) {_MACHINE}\b|\b{_MACHINE} (?:reading|that reads|processing|handling) this\b",
        r"\b(?:system|developer|maintenance|debug) (?:prompt|mode|message|override|instructions?)\b",
        r"\b(?:new|updated|real|hidden) instructions? ?:|\bhidden instructions?\b",
        rf"\binstructions? (?:to|for) (?:the |an? )?{_MACHINE}\b",
        r"\bpolicy (?:override|update)\b|\bdecide ?: ?(?:allow|approve)\b",
        r"<\|[\w ]{1,30}\|>|\[/?inst\]|</?(?:system|assistant|tool|tool_call|instructions?|prompt)>|<!--",
        r"##+ ?(?:system|(?:new )?instruction|end of)\b",
        rf"\b(?:without|no need for|skip(?:ping)?|bypass(?:ing)?) {_SOME}{_CHECK}",
        r"\bmark (?:every|each|all|the) (?:check|test|inspection)s?\b",
        rf"\b(?:do not|don't|never) (?:ask|tell|inform|notify|escalate to|involve|alert) {_SOME}{_PERSON}",
        r"\b(?:do not|don't|never) mention (?:this|these)\b",
        r"\balready (?:been )?(?:pre-?)?(?:approved|authori[sz]ed) (?:by|this)\b|\bpre-?approved\b",
        r"\b(?:call|use|invoke|run|execute) (?:the )?\w{2,30}[._][\w.]{2,30} (?:tool|function)\b",
        r"\b(?:send|forward|e-?mail|post) [\w ,']{0,60}\b(?:orders|addresses|customers?|data|history) [\w ,']{0,40}"
        r"\b(?:to|at) [\w.+-]{1,60}@",
        r"[\"'](?:tool|tool_calls?|function|arguments|args)[\"'] ?:",
        rf"\b(?:{_TOOL})\b",
        r"\b(?:refund_original|store_credit|returnless_refund|keep_item|expected_status)\b",
    )
]
_SPEAKER = re.compile(r"(?:^|[\n>*#\"'\])-] ?)(?:system|assistant|developer) ?:")
"""As transcripts name who speaks; in the middle of a line these are words like any other."""
_BLOB = re.compile(r"[A-Za-z0-9+/]{80,}={0,2}")
_INVISIBLE = dict.fromkeys([*map(ord, "\u200b\u2060\ufeff"), *range(0xE0000, 0xE0080)])


@lru_cache(maxsize=256)  # a case asks for those of its one letter again and again
def note_flags(text: str) -> tuple[str, ...]:
    """The phrases of a letter that read like instructions to an agent, each once, in the order of the checks."""
    found = [] if len(text) <= _READ_AT_MOST else ["too long to be read to its end"]
    text = text[:_READ_AT_MOST]
    shown = text.translate(_INVISIBLE)
    if len(shown) < len(text):
        found.append("invisible characters")
    plain = unicodedata.normalize("NFKC", shown).casefold().replace("’", "'")
    flat = " ".join(plain.split())
    found += [match[0].strip()[:80] for pattern in _PHRASES for match in pattern.finditer(flat)]
    found += [match[0].strip() for match in _SPEAKER.finditer(plain)]
    found += [f"encoded text: {blob[0][:24]}…" for blob in _BLOB.finditer(shown) if _looks_encoded(blob[0])]
    return tuple(dict.fromkeys(found))


def _looks_encoded(blob: str) -> bool:
    return any(c.islower() for c in blob) and any(c.isupper() for c in blob) and any(c.isdigit() for c in blob)
