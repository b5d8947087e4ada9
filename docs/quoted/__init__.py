"""Figures quoted in README.md and docs/, computed from their records.

Run ``python -m docs.quoted`` to compare pages and records (exit status 1 where they differ), and
``python -m docs.quoted --write`` to rewrite the generated blocks.

A page quotes a record in one of two ways:

- A *block* between ``<!-- quoted: NAME -->`` and ``<!-- end -->`` is generated as a whole; see
  ``blocks.py``.
- A *sentence* has its figures filled into a template, which must then occur in the page; see
  ``sentences.py``.

Every other figure in README.md and docs/results/ is an error, unless ``pages.ALLOWED`` lists it
with the reason why no record holds it.
"""
