"""Alembic's folder: ``env.py`` is run by :mod:`jingzhe.store.state.migrate`, ``versions`` holds the steps."""
