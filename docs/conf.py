"""Settings of the documentation: Sphinx with MyST (Markdown) and furo; `make docs` builds it."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

project = "nni-stress"
author = "The nni-stress authors"
copyright = "2026, The nni-stress authors"
setup_text = (ROOT / "setup.py").read_text(encoding="utf-8")
release = re.search(r'^ *version="([^"]+)"', setup_text, re.MULTILINE)[1]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "quoted"]
html_theme = "furo"
html_title = f"nni-stress {release}"

myst_heading_anchors = 3  # links to headings, as code hosts have them
myst_enable_extensions = ["colon_fence"]

napoleon_google_docstring = False
napoleon_use_rtype = False
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True

# Types of other projects, whose documentation is not fetched, and words taken for types.
nitpick_ignore_regex = [
    ("py:.*", r"(torch|nni|numpy|collections|pathlib|typing|dataclasses|safetensors)(\..*)?"),
    (
        "py:.*",
        r"(Path|Any|Lineage|Callable|Mapping|Sequence|Iterable|Iterator|Tensor|Module|Optimizer|Generator|Evaluator|ModuleWrapper|Comparison|Axes|DataFrame)",
    ),
    ("py:class", r"[a-z].*"),  # optional, tensor, callable
]
