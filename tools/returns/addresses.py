"""Where a text for a customer leads to: links, bare domains, e-mail addresses, bank accounts. Pure, linear.

It reads what a person would read: `mallory (at) evil.example` is an address, spaces in an account don't hide it.
It errs on the side of finding: a text that is refused can be written again, one that left can't be called back.
"""

from __future__ import annotations

import re
import unicodedata

_INVISIBLE = dict.fromkeys(
    [0xAD, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF, *range(0x202A, 0x202F), *range(0xE0000, 0xE0080)]
)
_DOTS = str.maketrans("。｡․", "...")
_AT = re.compile(r"\s{0,3}[(\[{<]\s{0,3}(?:at|@)\s{0,3}[)\]}>]\s{0,3}", re.IGNORECASE)
_DOT = re.compile(r"\s{0,3}[(\[{<]\s{0,3}(?:dot|\.)\s{0,3}[)\]}>]\s{0,3}|[ \t]{1,3}\.[ \t]{0,3}(?=\w)", re.IGNORECASE)
_SPOKEN = re.compile(r"\b([\w.+-]{1,64}) at ([\w-]{1,63}) dot (\w{2,63})\b", re.IGNORECASE)
_E_MAIL = re.compile(r"[\w.+-]{1,64}\s?@\s?(?:[\w-]{1,63}\.)+[^\W\d_]{2,24}")
_LINK = re.compile(r"\b[a-z]{2,8}:/{1,3}\S+|\bwww\.\S+|\b(?:mailto|tel|sms):\S+", re.IGNORECASE)
_DOMAIN = re.compile(
    r"(?<![\w.])(?:[\w-]{1,63}\.)+(?:[^\W\d_]{2,24}|xn--[a-z0-9-]{2,59})(?:/\S*)?(?![\w])", re.IGNORECASE
)
_IP = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\w)")
_ACCOUNT = re.compile(r"(?=([A-Z]{2})(\d{2}[A-Z0-9]{11,30}))")

_IBAN_LENGTHS = {
    **dict.fromkeys(("NO",), 15),
    **dict.fromkeys(("BE",), 16),
    **dict.fromkeys(("DK", "FI", "FO", "GL", "NL", "SD"), 18),
    **dict.fromkeys(("MK", "SI"), 19),
    **dict.fromkeys(("AT", "BA", "EE", "KZ", "LT", "LU", "MN", "XK"), 20),
    **dict.fromkeys(("CH", "HR", "LI", "LV"), 21),
    **dict.fromkeys(("BG", "BH", "CR", "DE", "GB", "GE", "IE", "ME", "RS", "VA"), 22),
    **dict.fromkeys(("AE", "GI", "IL", "IQ", "OM", "SO", "TL"), 23),
    **dict.fromkeys(("AD", "CZ", "ES", "MD", "PK", "RO", "SA", "SE", "SK", "TN", "VG"), 24),
    **dict.fromkeys(("LY", "PT", "ST"), 25),
    **dict.fromkeys(("IS", "TR"), 26),
    **dict.fromkeys(("BI", "DJ", "FR", "GR", "IT", "MC", "MR", "SM"), 27),
    **dict.fromkeys(("AL", "AZ", "BY", "CY", "DO", "GT", "HN", "HU", "LB", "NI", "PL", "SV"), 28),
    **dict.fromkeys(("BR", "EG", "PS", "QA", "UA"), 29),
    **dict.fromkeys(("JO", "KW", "MU"), 30),
    **dict.fromkeys(("MT", "SC"), 31),
    **dict.fromkeys(("LC",), 32),
    **dict.fromkeys(("RU",), 33),
}
"""Characters of an account number by country, from the SWIFT IBAN registry."""


def foreign_addresses(text: str, own: str) -> list[str]:
    """What in a text leads elsewhere than to the e-mail address `own`."""
    plain = unicodedata.normalize("NFKC", text.translate(_INVISIBLE).translate(_DOTS)).translate(_DOTS)
    plain = _SPOKEN.sub(r"\1@\2.\3", _DOT.sub(".", _AT.sub("@", plain)))
    found = [mail for mail in _E_MAIL.findall(plain) if mail.casefold() != own.casefold()]
    rest = _E_MAIL.sub(" ", plain)
    for pattern in (_LINK, _DOMAIN, _IP):
        found += pattern.findall(rest)
    return found + _accounts(plain)


def _accounts(text: str) -> list[str]:
    """Whole accounts with a right checksum, however they are spaced."""
    compact = "".join(c for c in text.upper() if c.isascii() and c.isalnum())
    found = []
    for match in _ACCOUNT.finditer(compact):
        length = _IBAN_LENGTHS.get(match[1], 0)
        account = match[1] + match[2][: length - 2]
        if length and len(account) == length and _checks(account):
            found.append(account)
    return found


def _checks(account: str) -> bool:
    """ISO 13616: the country and check digits put last, letters as 10 to 35, modulo 97 is one."""
    return int("".join(str(int(c, 36)) for c in account[4:] + account[:4])) % 97 == 1
