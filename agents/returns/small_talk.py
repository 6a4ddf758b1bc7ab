"""What in a chat is no part of a request: greetings, thanks, and the question how it stands. Pure; English."""

from __future__ import annotations

import re
from functools import lru_cache

from agents.conversation import Heard, case_numbers
from agents.returns.letters import without_ids
from agents.returns.phrases import plain, wanted_in

_WORD = re.compile(r"[a-z0-9]+(?:'[a-z]+)?")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")

_POLITE = """
hello hi hey dear good morning afternoon evening day there thanks thank you so very much many cheers great
perfect ok okay fine super nice lovely bye goodbye see understood alright all right yes no sure please got it
appreciate that's kind of a lot again and the help your for this sir madam team then will wait i'll
"""
_COURTESY = frozenset(_POLITE.split())
_ENQUIRY = re.compile(
    r"^(?:(?:so|and|but|ok|okay|hi|hello|hey|please|well|sorry|just|again|there|good morning|good afternoon)[, ]+)*(?:"
    r"any (?:news|update|updates|progress|word)\b"
    r"|(?:when|how long|how much longer|how soon|by when)\b"
    r"|how (?:does|is|are|do|far|did)\b"
    r"|what(?:'s| is| was| about| happens| happened)? ?(?:the )?"
    r"(?:status|state|progress|happening|going on|next|news|with)\b"
    r"|what(?:'s| is| about| of)? (?:my|with|the) (?:\w+ ){0,2}(?:case|return|request|refund|money)\b"
    r"|where(?:'s| is| are| do)\b"
    r"|(?:is|are|was|has|have|had|did|do|does|will|can|could)"
    r" (?:it|there|you|my|the|that|this|anyone|anybody|somebody|we|i) (?:\w+ ){0,3}"
    r"(?:still|already|yet|there|news|updates?|progress|done|decided|approved|refunded|looked|checked|processed|heard|know"
    r"|tell me|ready|finished|settled|stands?|going|take|long)\b"
    r"|(?:i am|i'm|we are|we're)? ?still (?:waiting|here|there|nothing|no)\b"
    r"|(?:tell|remind|update) me\b.*\b(?:how|when|what|case|status)\b"
    r"|(?:check|checking) (?:in|on|up|my|the)\b"
    r"|status\b|news\b|update\b|anyone\b|anything new\b|hello\b)"
)
_CHANGES = re.compile(r"\b(?:instead|cancel|withdraw|forget|keep|rather|also|too|another|forgot|actually|changed?)\b")
_WISHES = """
i i'd i'm i've i'll we we'd my our your me us you it its is are was were be been am to from for of in on at with
about and or but so as by the a an this that these those some something anything would like want wanted need
have has had do does did can could may might will shall please kindly return returns returning returned send
sending sent back give refund refunds refunded money order orders ordered number no nr id here hereby help how
what which one item items thing things article articles product products it's that's let make start request file
ask case open customer
"""
_EMPTY = _COURTESY | frozenset(_WISHES.split())
"""Words of a wish to return that tell neither goods nor a reason."""


@lru_cache(maxsize=512)  # a chat sends its whole talk each time
def hears(said: str) -> Heard:
    """News, unless each of its sentences is a greeting, a thank-you or a question how it stands."""
    text = _without_cases(plain(said))
    if case_numbers(said) and set(_WORD.findall(text)) <= _EMPTY:
        return Heard.ENQUIRY
    found = {_each(sentence) for sentence in _SENTENCE.split(text) if _WORD.search(sentence)}
    if Heard.NEWS in found:
        return Heard.NEWS
    return Heard.ENQUIRY if Heard.ENQUIRY in found else Heard.COURTESY


@lru_cache(maxsize=512)
def says_what(said: str) -> bool:
    """Whether anything is left that could tell goods or a reason, beside the number and the wish to return."""
    text = without_ids(_without_cases(plain(said)))
    return any(word not in _EMPTY and not word.isdigit() for word in _WORD.findall(text))


def _each(sentence: str) -> Heard:
    if set(_WORD.findall(sentence)) <= _COURTESY:
        return Heard.COURTESY
    asks = _ENQUIRY.search(sentence.strip()) and not _CHANGES.search(sentence)
    told = sentence != without_ids(sentence) or (wanted_in(sentence) and "?" not in sentence)
    return Heard.ENQUIRY if asks and not told else Heard.NEWS


def _without_cases(text: str) -> str:
    return re.sub(r"\bcase_[0-9a-z]+\b", " ", text, flags=re.IGNORECASE)
