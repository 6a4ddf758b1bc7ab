"""What the generated shop sells: invented products, their variants, and the markets it sells them in."""

from __future__ import annotations

from decimal import Decimal
from itertools import product as combinations
from random import Random
from typing import NamedTuple

from core.money import Money, exponent
from tools.returns.models import Variant

SIZES = {"apparel": ("S", "M", "L", "XL"), "shoes": ("7", "8", "9", "10", "11")}


class Product(NamedTuple):
    """`flags`: `f` sold off, final sale in some colours; `s` has a serial number; `r` cheap, not worth its way back."""

    title: str
    noun: str
    category: str
    usd: str
    choices: str = ""
    """Colours, or `option: a b+20 c+45`, where +20 means 20% dearer."""
    flags: str = ""


class Market(NamedTuple):
    currency: str
    share: float
    rate: Decimal
    """Of one dollar; fixed, for price shapes only."""
    step: Decimal
    """Prices end on whole steps, less `under`."""
    under: Decimal
    shipping: str
    countries: tuple[str, ...]


MARKETS = (
    Market("USD", 0.78, Decimal(1), Decimal("0.01"), Decimal(0), "5.95", ("US", "US", "US", "CA")),
    Market("EUR", 0.09, Decimal("0.92"), Decimal(1), Decimal("0.05"), "4.90", ("DE", "FR", "NL", "ES", "IE")),
    Market("GBP", 0.06, Decimal("0.79"), Decimal(1), Decimal("0.01"), "3.95", ("GB",)),
    Market("JPY", 0.04, Decimal(150), Decimal(10), Decimal(0), "550", ("JP",)),
    Market("KWD", 0.03, Decimal("0.307"), Decimal("0.250"), Decimal(0), "1.500", ("KW",)),
)

PRODUCTS = tuple(
    Product(*(part.strip() for part in line.split("|")))
    for line in """
    Harbour organic tee | tee | apparel | 19.90 | white navy sage | f
    Ridgeline hoodie | hoodie | apparel | 54.00 | charcoal rust olive
    Linen summer shirt | shirt | apparel | 44.50 | sand sky white | f
    Everyday chinos | chinos | apparel | 59.00 | khaki navy black
    Slim stretch jeans | jeans | apparel | 74.90 | indigo black grey
    Merino crew sweater | sweater | apparel | 89.00 | oatmeal forest plum
    Packable rain jacket | rain jacket | apparel | 119.00 | yellow teal black
    Wool overcoat | coat | apparel | 249.00 | camel charcoal
    Wrap midi dress | dress | apparel | 79.00 | emerald black terracotta
    Evening satin gown | gown | apparel | 189.00 | burgundy midnight
    Pleated skirt | skirt | apparel | 49.90 | ivory black | f
    Seamless leggings | leggings | apparel | 39.00 | black mauve slate
    Flannel pyjama set | pyjamas | apparel | 48.00 | red green
    Swim trunks | swim trunks | apparel | 34.00 | coral navy | f
    Quilted vest | vest | apparel | 69.00 | olive black
    Trail running shoes | running shoes | shoes | 129.00 | grey orange
    Court sneakers | sneakers | shoes | 84.90 | white green
    Leather ankle boots | boots | shoes | 159.00 | tan black
    Suede loafers | loafers | shoes | 109.00 | brown navy | f
    Strappy heels | heels | shoes | 94.00 | gold black
    Cork sandals | sandals | shoes | 64.90 | tan black | f
    Felt house slippers | slippers | shoes | 29.90 | grey red
    Waterproof hiking boots | hiking boots | shoes | 189.00 | brown slate
    Over-ear headphones | headphones | electronics | 179.00 | black silver | s
    True wireless earbuds | earbuds | electronics | 89.00 | black white | s
    Portable speaker | speaker | electronics | 69.00 | blue black red | s
    10-inch tablet | tablet | electronics | 329.00 | storage: 64GB 128GB+20 256GB+45 | s
    Fitness watch | watch | electronics | 199.00 | black rose | s
    4K action camera | action camera | electronics | 289.00 | | s
    Mechanical keyboard | keyboard | electronics | 119.00 | switches: linear tactile clicky | s
    Wireless mouse | mouse | electronics | 39.90 | black white
    27-inch monitor | monitor | electronics | 279.00 | | s
    Laptop stand | laptop stand | electronics | 45.00 | silver black
    USB-C travel charger | charger | electronics | 34.90 | watts: 30W 65W+40
    Braided charging cable | cable | electronics | 11.90 | length: 1m 2m+20 | r
    E-reader | e-reader | electronics | 139.00 | black sage | s
    Smart bulb pair | bulbs | electronics | 27.90 | | r
    Linen duvet set | duvet set | home | 149.00 | bed: twin queen+15 king+30
    Bath towel bundle | towels | home | 54.00 | white grey blush
    Cast-iron pan | pan | home | 64.00 | diameter: 24cm 28cm+20
    Ceramic dinner plates, set of 4 | plates | home | 46.00 | speckled blue
    Pour-over coffee set | coffee set | home | 39.00 |
    Espresso machine | espresso machine | home | 349.00 | steel black | s
    Stand mixer | stand mixer | home | 299.00 | mint red black | s
    Scented soy candle | candle | home | 14.90 | scent: fig cedar citrus | r
    Wall clock | clock | home | 42.00 | oak black
    Reading lamp | lamp | home | 58.00 | brass black
    Wool throw | throw | home | 79.00 | rust grey | f
    Robot vacuum | robot vacuum | home | 389.00 | | s
    Vitamin C serum | serum | beauty | 28.00 | size: 15ml 30ml+60
    Tinted lip balm set | lip balms | beauty | 13.50 | shade: rose berry nude | r
    Foundation | foundation | beauty | 34.00 | shade: porcelain beige tan deep
    Ionic hair dryer | hair dryer | beauty | 99.00 | black pink | s
    Eau de parfum | perfume | beauty | 84.00 | size: 30ml 50ml+40 | f
    Electric toothbrush | toothbrush | beauty | 74.00 | white black | s
    Cork yoga mat | yoga mat | sports | 59.00 | natural black
    Adjustable dumbbells | dumbbells | sports | 239.00 |
    Two-person tent | tent | sports | 219.00 | green orange
    Insulated bottle | bottle | sports | 24.90 | size: 500ml 750ml+15
    Cycling helmet | helmet | sports | 79.00 | size: S M L
    Resistance band set | bands | sports | 14.50 | | r
    Carbon badminton racket | racket | sports | 112.00 | |
    Wooden train set | train set | toys | 59.00 |
    Building bricks, 600 pieces | brick set | toys | 44.90 |
    Plush fox | plush fox | toys | 18.90 | size: small large+60 | r
    Strategy board game | board game | toys | 39.90 |
    Balance bike | balance bike | toys | 89.00 | red mint
    Puzzle, 1000 pieces | puzzle | toys | 16.90 | motif: harbour forest atlas | f
    """.strip().splitlines()
)

NOUNS = {product.title: product.noun for product in PRODUCTS}


def _options(product: Product) -> list[tuple[dict[str, str], int]]:
    """Every variant's options, and how many percent dearer it is than the cheapest."""
    name, colon, values = product.choices.partition(":")
    if not colon:
        name, values = "color", product.choices
    picked = []
    for value in values.split():
        text, _, dearer = value.partition("+")
        picked.append((text, int(dearer or 0)))
    axes: list[list[tuple[str, str, int]]] = [[(name, text, dearer) for text, dearer in picked]] if picked else []
    if product.category in SIZES:
        axes.append([("size", size, 0) for size in SIZES[product.category]])
    return [
        ({axis: text for axis, text, _ in chosen}, sum(dearer for *_, dearer in chosen))
        for chosen in combinations(*axes)
    ]


def local_price(usd: Decimal, market: Market) -> Money:
    """The dollar price in a market, shaped as that market writes prices."""
    amount = usd * market.rate
    steps = max(int((amount / market.step).to_integral_value()), 1)
    shaped = steps * market.step - market.under
    return Money.of(round(shaped, exponent(market.currency)), market.currency)


def stock_shelves(random: Random) -> list[Variant]:
    """All variants of all markets. The dollar market has every product, the others about half of them."""
    shelves = []
    for market in MARKETS:
        returnless = local_price(Decimal(15), market)
        for number, product in enumerate(PRODUCTS, 1):
            if market.currency != "USD" and random.random() < 0.45:
                continue
            sold_off = random.randrange(2)
            for index, (options, dearer) in enumerate(_options(product), 1):
                color_place = (index - 1) // len(SIZES.get(product.category, "1"))
                suffix = "" if market.currency == "USD" else f"_{market.currency.lower()}"
                shelves.append(
                    Variant(
                        variant_id=f"var_{number:03d}_{index:02d}{suffix}",
                        product_id=f"prd_{number:03d}{suffix}",
                        title=product.title,
                        category=product.category,
                        options=options,
                        price=local_price(Decimal(product.usd) * (100 + dearer) / 100, market),
                        stock=0 if random.random() < 0.08 else random.randint(1, 80),
                        final_sale="f" in product.flags and color_place == sold_off,
                        serialised="s" in product.flags,
                        returnless_below=returnless if "r" in product.flags else None,
                    )
                )
    return shelves
