"""The lake: Delta tables in one folder, each with its schema declared once in the catalogue.

``tables`` reads and commits, ``files`` describes what a version is made of, ``compact`` sorts and folds, ``tail`` puts
small files together, both ``beside`` the writers; ``erase`` deletes rows, ``vacuum`` removes files nobody needs.
"""
