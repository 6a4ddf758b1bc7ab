"""Why people send things back and what they ask for, by the phrases they use. Pure; English."""

from __future__ import annotations

import re
from functools import lru_cache

from tools.returns.models import Reason, Resolution

_REASONS = r"""
WRONG_ITEM 4 wrong (?:item|product|thing|article|model|colou?r|size|one|order|shoes?|parcel)\b
WRONG_ITEM 4 (?:sent|got|received|delivered|shipped) (?:me |us )?(?:the |a )?(?:wrong|different|another)
WRONG_ITEM 4 not (?:what|the (?:one|item|\w+)(?: that)?) i (?:had )?(?:ordered|bought|asked|picked|chose)
WRONG_ITEM 4 i ordered [^.;!?\n]{2,60}\b(?:but|and) (?:you |i )?(?:sent|got|received|was sent)
WRONG_ITEM 3 (?:someone|somebody) else'?s|mixed up|mix-up|instead of (?:the|what) [\w ]{0,20}i ordered
DEFECTIVE 3 \b(?:broken|broke|defect\w*|faulty|damaged|crack\w*|shattered|smashed|torn|ripped|dead|hole|chipped)\b
DEFECTIVE 3 (?:doesn't|does not|won't|will not|do not|don't|didn't|stopped|not|never) (?:even |really |properly )?@
            (?:work|turn|charg|start|switch|power|connect|pair|clos|open|hold|last)\w*
DEFECTIVE 3 \b(?:leak\w*|scratch\w*|stain\w*|dent\w*|snapped|loose (?:button|screw|seam)|malfunction\w*|wobbl\w*)\b
DEFECTIVE 3 \b(?:crackl\w*|flicker\w*|frayed|unravel\w*|(?:came|fell|falling|coming) (?:apart|off))\b
DEFECTIVE 3 \b(?:spark\w*|short-circuit\w*|cut\w* out|buzz\w*|keeps (?:\w+ing|on \w+ing))\b|dead pixel
DEFECTIVE 2 (?:missing|without) (?:a |one |the |its )?(?:part|piece|button|screw|cable|lid|strap|zip)\w*
DEFECTIVE 2 \b(?:seam|zip|zipper|sole|screen|battery|pump|motor)\b[^.;!?\n]{0,40}@
            \b(?:gone|split|stuck|burst|failed|fails|dies|died|open)\b
SIZE_TOO_SMALL 3 too (?:small|tight|short|narrow|snug)|\b(?:tight|pinch\w*|squeez\w*|runs? small)\b
SIZE_TOO_SMALL 3 (?:can't|cannot|couldn't|could not|can barely) (?:even )?(?:get (?:it|them|my \w+) (?:on|in|over)|@
                 (?:button|zip|close|fasten) (?:it|them))
SIZE_TOO_SMALL 3 sizes? (?:up|under)|(?:bigger|larger) size|size (?:bigger|larger)
SIZE_TOO_SMALL 3 \b(?:tighter|shorter|narrower|smaller) than|\bcuts? in\b
SIZE_TOO_SMALL 2 (?:a bit|a little|slightly|rather|so|very|quite|much) (?:small|tight|short|narrow)
SIZE_TOO_LARGE 3 too (?:large|big|long|wide|loose|baggy|roomy)|\b(?:runs? (?:large|big)|baggy|huge on)\b
SIZE_TOO_LARGE 3 sizes? down|smaller size|size smaller|\b(?:swim\w* in|slip\w* off|falls? off me)\b
SIZE_TOO_LARGE 3 \b(?:looser|longer|wider|bigger|larger) than|\bhangs? off\b
SIZE_TOO_LARGE 2 (?:a bit|a little|slightly|rather|so|very|quite|much) (?:large|big|long|wide|loose)
NOT_AS_DESCRIBED 3 not (?:as|like) (?:it (?:was|is) )?(?:described|advertised|shown|pictured|promised)
NOT_AS_DESCRIBED 3 (?:nothing|not) like (?:the |its |your )?(?:photo|picture|description|website|listing)s?
NOT_AS_DESCRIBED 3 (?:description|listing|website|page|photos?|pictures?|advert\w*) @
                   (?:said|says|promised|claims?|claimed|showed|shows|is wrong|was wrong|are misleading|is misleading)
NOT_AS_DESCRIBED 3 (?:doesn't|does not|didn't|don't) match (?:the|your|its)|misleading|supposed to (?:be|have)
NOT_AS_DESCRIBED 3 advertised as|\b(?:fake|counterfeit|not genuine|not authentic)\b
NOT_AS_DESCRIBED 3 (?:simply|just|plainly) not true|not (?:what|as) (?:it|you|the page) (?:says?|said|promised?)
NOT_AS_DESCRIBED 2 different (?:material|fabric|from what|to what|than)|cheaper than it looked
COLOR 3 \bcolou?r\b[^.;!?\n]{0,40}@
        \b(?:not|isn't|different|off|wrong|darker|lighter|brighter|duller|clash\w*|nothing like|disappoint\w*|suit\w*)\b
COLOR 3 (?:don't|do not|didn't|not) (?:like|love|keen on|happy with) the (?:colou?r|shade|tone)
COLOR 3 (?:shade|colou?r|tone) (?:just )?(?:doesn't|does not|isn't)|(?:darker|lighter|brighter|duller) than
COLOR 2 \bthe (?:colou?r|shade)\b
STYLE 3 (?:not|isn't|aren't) (?:really |quite )?my (?:style|taste|thing)|unflattering
STYLE 3 (?:don't|do not|didn't) like (?:the )?@
        (?:style|cut|look|looks|design|way (?:it|they) looks?|fit|pattern|shape)
STYLE 3 (?:doesn't|does not|don't|didn't) (?:suit|flatter|go with|look (?:good|right|great))
STYLE 3 (?:don't|do not|didn't) like how (?:it|they|i) looks?
STYLE 3 \bthe (?:style|cut|design|look) (?:is|was|just|does|isn)
UNWANTED 3 changed (?:my|our|her|his) mind|no longer (?:need|want)|second thoughts
UNWANTED 3 (?:no longer|don't|do not|didn't|not) (?:actually |really )?@
           (?:need|want)(?:ed)? (?:it|them|this|these|the|any|to keep)
UNWANTED 3 by (?:mistake|accident)|accidentally|ordered (?:twice|two by|too many|one too many)|duplicate
UNWANTED 3 found (?:it |one |the same |them )?(?:cheaper|elsewhere|a better)|better price|impulse
UNWANTED 3 already (?:have|has|had|own|owns|got)\b
UNWANTED 2 unwanted|no use for|never (?:used|worn|opened)|regret\w*
UNWANTED 3 decided (?:not to keep|against)|outgrown|grown out of
OTHER 2 arrived (?:too )?late|too late for|allerg\w*|smell\w*|rash
OTHER 2 empty box|box was empty|nothing (?:in|inside)|never (?:arrived|received|came)|(?:didn't|did not|not) arrive
"""
"""Reason, weight, pattern over plain text; `@` at a line's end joins the next one."""

_RANKED = (
    Reason.WRONG_ITEM, Reason.DEFECTIVE, Reason.NOT_AS_DESCRIBED, Reason.SIZE_TOO_SMALL, Reason.SIZE_TOO_LARGE,
    Reason.COLOR, Reason.STYLE, Reason.UNWANTED, Reason.OTHER,
)  # fmt: skip
"""Between equals, the more telling reason."""

_WANTS = r"""
RETURNLESS_REFUND (?:without|instead of) (?:having to )?(?:send|return)\w*(?: (?:it|them))?(?: back)?
RETURNLESS_REFUND (?:not|hardly|isn't|aren't) worth (?:sending|posting|returning|shipping)
RETURNLESS_REFUND (?:throw (?:it|them) (?:away|out)|bin (?:it|them)|dispose of (?:it|them)) (?:here|myself|for you)
RETURNLESS_REFUND (?:can|could|may) i (?:just )?keep
STORE_CREDIT (?:store|shop) credit|gift card|voucher|\bcredit (?:note|for|to|on|is|would|will)
REPLACE replac\w+|(?:the )?same (?:one|thing|item) again
REPLACE (?:send|ship|get|have|want|like) (?:me |us )?(?:a |another )?(?:(?:new|working|fresh) (?:one|pair)|another one)
EXCHANGE exchang\w+|\bswap\w*|\bswitch (?:it|them|the|for|to)|change (?:it|them) for|trade (?:it|them)
EXCHANGE (?:size \w+|(?:another|different|other) (?:size|colou?r)) (?:instead|please)
EXCHANGE \bin (?:a |the )?(?:size )?\w+ instead\b|(?:size|one) (?:up|down) (?:please|instead)
REFUND_ORIGINAL refund\w*|money back|reimburs\w+|my money|(?:pay|paid) (?:me )?back
"""

_REFUSED = re.compile(r"(?:\bno|\bnot|n't|\bnever|rather than|instead of|without|\bneither|\bnor)(?: \w+){0,3} ?$")
_KEPT = re.compile(
    r"\b(?:keep(?:ing)?|love|loves|happy with|perfect|great|fine|lovely|no problem|works? well|fits? well|stays?)\b"
)
_GOES_BACK = re.compile(
    r"\b(?:return\w*|refund\w*|sen[dt]\w* (?:\w+ ){0,4}back|giv\w+ (?:\w+ ){0,3}back|go(?:ing)? back)\b"
)
_STAYS = re.compile(r"(?:\bnot|n't) (?:\w+ )?(?:return|send)\w*|\bkeep(?:ing)? (?:the|my|that|both|all)\b")

REASONS = [
    (Reason(reason), int(weight), re.compile(pattern))
    for reason, weight, pattern in (line.split(" ", 2) for line in re.sub(r"@\n +", "", _REASONS).strip().splitlines())
]
WANTS = [
    (Resolution(resolution), re.compile(pattern))
    for resolution, pattern in (line.split(" ", 1) for line in _WANTS.strip().splitlines())
]


def plain(text: str) -> str:
    """Lower case, apostrophes straight and in their place, single blanks; line ends are kept."""
    text = re.sub(r"[^\S\n]+", " ", text.lower().replace("’", "'").replace("‘", "'"))
    return re.sub(r"\b(do|does|did|is|are|was|were|could|would|have|has|wo|ca)nt\b", r"\1n't", text)


def score(text: str) -> dict[Reason, int]:
    """What speaks for each reason in a plain text."""
    scores: dict[Reason, int] = {}
    for reason, weight, pattern in REASONS:
        if pattern.search(text):
            scores[reason] = scores.get(reason, 0) + weight
    return scores


@lru_cache(maxsize=1024)
def reason_in(text: str) -> Reason:
    """The reason that most speaks for, UNKNOWN where nothing does, OTHER where both sizes do."""
    scores = score(text)
    if not scores:
        return Reason.UNKNOWN
    most = max(scores.values())
    best = [reason for reason in _RANKED if scores.get(reason) == most]
    return Reason.OTHER if best[:2] == [Reason.SIZE_TOO_SMALL, Reason.SIZE_TOO_LARGE] else best[0]


@lru_cache(maxsize=1024)
def wanted_in(text: str) -> Resolution | None:
    """What the customer asks for first and does not refuse; None where they leave it to us."""
    found: list[tuple[int, Resolution]] = []
    for resolution, pattern in WANTS:
        for match in pattern.finditer(text):
            if resolution is Resolution.RETURNLESS_REFUND or not _REFUSED.search(
                text[max(0, match.start() - 40) : match.start()]
            ):
                found.append((match.start(), resolution))
                break
    return min(found, key=lambda pair: pair[0])[1] if found else None


def is_content(clause: str) -> bool:
    """The writer keeps what the clause speaks of."""
    if _STAYS.search(clause):
        return True
    unhappy = score(clause) or wanted_in(clause) or _GOES_BACK.search(clause) or " not " in clause or "n't " in clause
    return bool(_KEPT.search(clause)) and not unhappy
