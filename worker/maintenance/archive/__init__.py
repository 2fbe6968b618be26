"""Project archives: one project in one ZIP file, out of one database and into another.

The format is described in docs/reference/archive.md, and stands in `format.py`.
"""
