"""How Sphinx builds the documentation."""

from __future__ import annotations

import importlib
from typing import Any

from docutils import nodes

project = "n8n-runner"
author = "The n8n-runner authors"
copyright = "2026, the n8n-runner authors"  # noqa: A001 - Sphinx's name
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "examples"]
nitpicky = True

html_theme = "furo"
html_title = project
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

default_role = "code"  # docstrings write `names` as people do in plain text
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_use_rtype = False

PUBLIC = ("runner", "runner.broker", "runner.broker.local", "statemachine", "statemachine.testing")
"""The packages whose `__all__` is the public API. Each has a page."""

OURS = {"runner", "statemachine"}

nitpick_ignore_regex = [
    (r"py:.*", r"(runner|statemachine)\.[\w.]+\.[A-Z]"),  # type variables
    ("py:class", "runner.sandbox_config.SandboxConfig"),  # the half of the configuration that has a file of its own
    ("py:class", "statemachine.diagram.DrawableMachine"),  # what draws needs of a machine, and both machines have
    ("py:class", "runner.execution.sandbox.confinement.report.Report"),  # is read as text
]
"""What public signatures name and is not public itself: shown, and not linked."""


def public_names() -> dict[str, str]:
    """Where each public name really lives, and the name by which it is public."""
    homes = {}
    for package in PUBLIC:
        module = importlib.import_module(package)
        for name in module.__all__:
            found = getattr(module, name)
            home = str(getattr(found, "__module__", ""))
            if home.partition(".")[0] in OURS:
                homes[f"{home}.{getattr(found, '__qualname__', name)}"] = f"{package}.{name}"
    return homes


HOMES = public_names()


def resolve(app: Any, env: Any, node: Any, content: nodes.Node) -> nodes.Node | None:
    """Link a name that is public to where it is public; show one that is not ours, or not public, as plain text."""
    if node.get("refdomain") != "py":
        return None
    target = node.get("reftarget", "")
    if target in HOMES:
        return env.get_domain("py").resolve_xref(env, node["refdoc"], app.builder, "obj", HOMES[target], node, content)
    return None if target.partition(".")[0] in OURS else content


def mark_code(app: Any, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Say of the indented blocks in a docstring that they are Python."""
    begins = [n for n, line in enumerate(lines) if n and line.startswith("    ") and not lines[n - 1].strip()]
    for number in reversed(begins):
        before = next((line for line in reversed(lines[:number]) if line.strip()), "")
        if not before.startswith((" ", ":", "..")):
            lines[number:number] = [".. code-block:: python", ""]


def leave_out_object(app: Any, doctree: nodes.document) -> None:
    """Do not say of a class that it is an object."""
    for paragraph in list(doctree.findall(nodes.paragraph)):
        if paragraph.astext() == "Bases: object":
            paragraph.parent.remove(paragraph)


def setup(app: Any) -> None:
    """What Sphinx calls."""
    app.connect("doctree-read", leave_out_object)
    app.connect("autodoc-process-docstring", mark_code)
    app.connect("missing-reference", resolve)
