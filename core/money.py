"""Money as integer minor units of an ISO 4217 currency. Never a float.

Exponents are those of ISO 4217 list one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Decimal
from functools import total_ordering
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, StrictInt

from core.errors import InvalidInput

_DECIMALS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: (
        "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD "
        "CDF CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD "
        "HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD "
        "MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON "
        "RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD "
        "TZS UAH USD UYU UZS VED VES WST XCD YER ZAR ZMW ZWG"
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
_EXPONENT = {code: places for places, codes in _DECIMALS.items() for code in codes.split()}

_AMOUNT = re.compile(r"(?P<sign>-?)(?P<whole>\d{1,15})(?:\.(?P<part>\d+))?\s+(?P<currency>[A-Za-z]{3})")


def exponent(currency: str) -> int:
    """Decimal places of a currency. Raises `InvalidInput` for a code ISO 4217 does not know."""
    try:
        return _EXPONENT[currency]
    except KeyError:
        raise InvalidInput(
            f"Unknown currency '{currency[:8]}'.", field="currency", hint="Use an ISO 4217 code, such as USD."
        ) from None


def _known(currency: str) -> str:
    if currency not in _EXPONENT:
        raise ValueError(f"unknown currency '{currency[:8]}': use an ISO 4217 code, such as USD")
    return currency


Currency = Annotated[str, AfterValidator(_known)]


@total_ordering
class Money(BaseModel):
    """An amount in minor units (cents for USD). Arithmetic across currencies is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    amount_minor: StrictInt
    currency: Currency

    @classmethod
    def of(cls, amount: Decimal | int | str, currency: str) -> Self:
        """From major units: `Money.of("12.50", "USD")`. More decimals than the currency has are refused."""
        places = exponent(currency)
        try:
            minor = Decimal(amount).scaleb(places)
            whole = int(minor)
        except (ArithmeticError, ValueError) as error:
            raise InvalidInput(f"'{str(amount)[:40]}' is no number.", field="amount") from error
        if minor != whole:
            raise InvalidInput(
                f"{amount} {currency} has more than {places} decimals.", field="amount", hint="Round it first."
            )
        return cls(amount_minor=whole, currency=currency)

    @classmethod
    def parse(cls, text: str) -> Self:
        """From text such as `150.01 USD`. Raises `InvalidInput`."""
        match = _AMOUNT.fullmatch(text.strip())
        if not match:
            raise InvalidInput(f"'{text[:40]}' is no amount of money.", hint="Write it like 150.00 USD.")
        part = match["part"]
        return cls.of(f"{match['sign']}{match['whole']}{'.' + part if part else ''}", match["currency"].upper())

    @classmethod
    def zero(cls, currency: str) -> Self:
        return cls(amount_minor=0, currency=currency)

    @classmethod
    def total(cls, amounts: Iterable[Money], currency: str) -> Money:
        result: Money = cls.zero(currency)
        for amount in amounts:
            result += amount
        return result

    def _minor_of(self, other: Money) -> int:
        if self.currency != other.currency:
            raise InvalidInput(f"Can't combine {self.currency} with {other.currency}.", field="currency")
        return other.amount_minor

    def __add__(self, other: Money) -> Money:
        return Money(amount_minor=self.amount_minor + self._minor_of(other), currency=self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(amount_minor=self.amount_minor - self._minor_of(other), currency=self.currency)

    def __neg__(self) -> Money:
        return Money(amount_minor=-self.amount_minor, currency=self.currency)

    def __lt__(self, other: Money) -> bool:
        return self.amount_minor < self._minor_of(other)

    def times(self, factor: Decimal | int) -> Money:
        """Scaled, rounded half to even to whole minor units."""
        minor = (Decimal(self.amount_minor) * factor).to_integral_value(rounding=ROUND_HALF_EVEN)
        return Money(amount_minor=int(minor), currency=self.currency)

    @property
    def major(self) -> Decimal:
        return Decimal(self.amount_minor).scaleb(-exponent(self.currency))

    def __str__(self) -> str:
        return f"{self.major:.{exponent(self.currency)}f} {self.currency}"
