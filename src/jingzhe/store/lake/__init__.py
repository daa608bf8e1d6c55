"""The lake: Delta tables in one folder, each with its schema declared once in the catalogue."""
