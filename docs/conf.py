"""How the documentation is built: `make docs`, or `sphinx-build -W -b html docs docs/_build`."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "_ext"))
sys.path.insert(0, str(HERE.parent / "src"))

from pansight.version import __version__  # noqa: E402

project = "Pansight"
author = "The Pansight developers"
copyright = "The Pansight developers, Apache-2.0"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "clihelp",
    "mathml",
    "papertables",
    "plaindocs",
]
exclude_patterns = ["_build"]
source_suffix = {".md": "markdown"}

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "fieldlist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_default_options = {"members": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False

html_theme = "furo"
html_title = f"Pansight {version}"
html_static_path = ["_static"]
html_css_files = ["pansight.css"]
html_js_files = ["versions.js"]
html_show_sphinx = False
html_math_renderer = "mathml"
html_theme_options = {
    "sidebar_hide_name": False,
    "light_css_variables": {"color-brand-primary": "#0a5fb4", "color-brand-content": "#0a5fb4"},
    "dark_css_variables": {"color-brand-primary": "#7ab8ff", "color-brand-content": "#7ab8ff"},
}
