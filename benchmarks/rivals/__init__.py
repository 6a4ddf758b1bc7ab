"""Books of this house in the languages of other engines: to be held against them, and to be measured beside them."""
