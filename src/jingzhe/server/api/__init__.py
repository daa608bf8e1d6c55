"""REST under ``/api/v1``: accounts and keys, people, figures, lists, imports, jobs, and what keepers watch.

``application`` puts it together; ``declaring`` is the one way to add a route (it must say who may call it) and
``guarding`` what happens before every call; ``problems`` turns errors into RFC 9457 documents, ``describing`` the
routes into OpenAPI 3.1; ``routes`` holds one file a subject.
"""
