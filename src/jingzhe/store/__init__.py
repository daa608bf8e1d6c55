"""Where everything is kept: the state (what must be unique), the lake (what is large) and the engine that asks it.

``catalogue`` declares tables and columns, ``query`` named steps, ``lake`` the Delta tables, ``engine`` runs
queries, ``state`` holds what is transactional, ``warehouse`` puts them together: consistent reads, atomic writes.
"""
