"""What is known about each person: person-days, facts as of a day, value classes and states.

``columns`` declares the tables, ``queries`` the SQL, ``refresh`` keeps them current, ``rfm`` and ``status`` say
what the facts mean.
"""
