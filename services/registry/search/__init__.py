"""The language of ``filter`` and ``order_by``: read strictly into a small tree, then run by PostgreSQL or in memory.

``fields`` says what a noun can be searched by; ``filters`` and ``orders`` read texts; ``memory`` and ``postgres`` run
what was read, and agree (tests hold them to it); ``pages`` carries a place in an order from one page to the next. See
docs/reference/search.md.
"""
