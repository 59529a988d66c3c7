"""How Sphinx builds the site: `make docs`, or ``sphinx-build -W --keep-going -n docs build/docs``.

Pages of scores, spaces, functions and notebooks are written by `_ext/site_pages.py` before each
build, from what the installed package and the repository say of themselves.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(HERE / "_ext"))
if any((ROOT / "zeroshot").glob("_core*.so")):  # built in place; else what is installed
    sys.path.insert(0, str(ROOT))

import zeroshot  # noqa: E402

project = "zeroshot"
author = "the zeroshot authors"
copyright = f"the {project} authors, Apache-2.0"
release = version = zeroshot.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "mathml",
    "references",
    "site_pages",
]
exclude_patterns = ["_ext"]
nitpicky = True
# Single backticks are anything from a parameter to a function. Only what claims to be ours by its
# full name has to be found (see references.py); the rest is code.
default_role = "py:obj"
nitpick_ignore_regex = [("py:obj", r"(?!zeroshot\.).*"), ("py:class", r"(?!zeroshot\.).*")]

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

autodoc_typehints = "none"  # docstrings say types in words
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
add_module_names = False
highlight_language = "none"  # literal blocks of docstrings are formulas and texts
maximum_signature_line_length = 88
numpydoc_show_class_members = False
numpydoc_attributes_as_param_list = True

html_theme = "furo"
html_title = f"{project} {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
