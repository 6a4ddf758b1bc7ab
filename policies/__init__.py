"""Policy: books that compliance people write, checked when they load, and the judge that applies them."""
