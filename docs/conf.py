"""How Sphinx builds the documentation."""

project = "n8n-runner"
author = "The n8n-runner authors"
copyright = "2026, the n8n-runner authors"  # noqa: A001 - Sphinx's name
extensions = ["myst_parser", "sphinx.ext.autodoc"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "examples"]
html_theme = "alabaster"
autodoc_typehints = "description"
nitpicky = True
