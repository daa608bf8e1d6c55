"""How facts come in: files, folders and database queries of orders or events.

``importing`` is the way in; ``sources`` finds and decodes files, ``mapping`` guesses which column is which field,
``values`` says how times and numbers are read, ``queries`` holds the steps from rows to facts, ``quarantine`` what
was refused and why, ``presets`` the shapes of well-known exports.
"""
