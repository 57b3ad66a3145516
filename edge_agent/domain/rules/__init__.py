"""Rules: what is declared (`spec`), how one rule lives on one device (`machine`), all of them together (`book`)."""
