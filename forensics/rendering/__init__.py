"""The report: from what is on record to sections of plain blocks, to HTML, to PDF.

`gather` reads the case, `sections` say what the report says, `page` makes HTML of it, `pdf` prints that in a child
process. Sections hold a target's text raw; it becomes safe in one place, when the template writes it (`page.finish`).
"""
