"""Who may do what: accounts, roles and their permissions, sessions, API keys, the audit trail, repeated requests.

``permissions`` is the table of what there is to allow; ``actor`` who asks; ``accounts``, ``passwords``, ``links``,
``throttle`` and ``sessions`` how a person comes in; ``keys`` how a program does; ``audit`` what they did, in a chain;
``repeats`` the answers that a request sent twice gets again. All of it stands in the state store (docs/adr/0010).
"""
