"""Members of modules that do what no rule about names can see: refused, or replaced by ones that look first.

They are told by what they are, not by where they are found: `contextlib.wraps` is `functools.wraps`. What can be
reached without being a member, such as a method of a class, is changed where it is, by `preparing`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from runner.execution.sandbox.language import replacements

_REFUSED_GROUPS: tuple[tuple[str, str], ...] = (
    (
        "runs text as code",
        "typing.get_type_hints typing.ForwardRef typing.evaluate_forward_ref functools.singledispatchmethod "
        "timeit.timeit timeit.repeat timeit.Timer timeit.main doctest.testmod inspect.get_annotations "
        "inspect.signature logging.config.dictConfig logging.config.fileConfig",
    ),
    (
        "makes classes, with members whose names are made at run time",
        "abc.ABCMeta enum.EnumMeta enum.EnumType dataclasses.make_dataclass types.new_class types.prepare_class "
        "types.resolve_bases types.get_original_bases typing.get_original_bases",
    ),
    (
        "makes functions, modules or frames from their parts",
        "types.FunctionType types.LambdaType types.CodeType types.ModuleType types.CellType types.TracebackType "
        "types.MethodType types.DynamicClassAttribute importlib.machinery.ModuleSpec",
    ),
    ("writes into the namespaces of modules", "enum.global_enum"),
    ("hands out the real getattr", "enum.pickle_by_enum_name"),
    ("says by which function objects are copied", "copyreg.dispatch_table copyreg.pickle copyreg.constructor"),
    (
        "hands out memory that it frees, while others still have it",
        "io.BufferedReader io.BufferedWriter io.BufferedRandom io.BufferedRWPair",
    ),
    (
        "opens files",
        "io.FileIO io.open io.open_code codecs.open codecs.EncodedFile tokenize.open zoneinfo.reset_tzpath",
    ),
    (
        "reads attributes by names made at run time",
        "inspect.getattr_static inspect.getmembers inspect.getmembers_static inspect.getclosurevars "
        "unittest.mock.patch",
    ),
    (
        "leads to frames, modules or all objects",
        "sys.modules sys.meta_path sys.path_hooks sys.path_importer_cache sys.settrace sys.setprofile sys.gettrace "
        "sys.getprofile sys.call_tracing sys.addaudithook sys.set_asyncgen_hooks sys.exc_info sys.exception "
        "sys.last_traceback sys.last_value sys.excepthook sys.unraisablehook inspect.currentframe inspect.stack "
        "inspect.trace inspect.getmodule inspect.getouterframes inspect.getinnerframes traceback.walk_stack "
        "traceback.walk_tb threading.settrace threading.setprofile gc.get_objects gc.get_referrers gc.get_referents "
        "gc.callbacks warnings.showwarning weakref.getweakrefs",
    ),
)

REFUSED: dict[str, str] = {name: reason for reason, names in _REFUSED_GROUPS for name in names.split()}
"""The members that are refused, each with the reason."""

REPLACED: dict[str, Callable[[Any], Any]] = {
    "functools.update_wrapper": replacements.update_wrapper,
    "functools.wraps": replacements.wraps,
    "functools.singledispatch": replacements.singledispatch,
    "operator.attrgetter": replacements.attrgetter,
    "operator.methodcaller": replacements.methodcaller,
    "contextlib.redirect_stdout": replacements.redirect_stdout,
    "contextlib.redirect_stderr": replacements.redirect_stderr,
    "dataclasses.dataclass": replacements.dataclass,
    "typing.get_origin": replacements.get_origin,
}
"""What makes, of a member, the one that stands in for it."""

_HOMES = (
    "_ctypes _frozen_importlib _frozen_importlib_external _imp _pickle _posixsubprocess _signal _socket "
    "_ssl _thread argparse asyncio bdb bz2 cmd code codeop concurrent ctypes dbm doctest fcntl fileinput "
    "ftplib gc glob gzip http importlib inspect linecache logging lzma marshal mmap multiprocessing nt "
    "ntpath optparse os pathlib pdb pickle pkgutil posix posixpath pty runpy select selectors shelve "
    "shutil signal smtplib socket sqlite3 ssl subprocess sys tarfile tempfile threading tokenize "
    "traceback unittest urllib.request webbrowser zipfile "
)

HOMES_NOT_TO_BORROW_FROM = frozenset(_HOMES.split())
"""Modules whose functions and classes are refused where another module has them, unless they are allowed themselves."""


def _found(path: str) -> Any:
    """A member, if its module has been imported."""
    module_name, _, name = path.rpartition(".")
    module = sys.modules.get(module_name)
    return None if module is None else vars(module).get(name)


def is_refused(value: Any) -> bool:
    """Whether a value is one of the members that are refused."""
    return value is not None and any(_found(path) is value for path in REFUSED)


def replacement(value: Any) -> Any:
    """What the user gets for a member: mostly, the member itself."""
    for path, replace in REPLACED.items():
        if value is not None and _found(path) is value:
            return replace(value)
    return value
