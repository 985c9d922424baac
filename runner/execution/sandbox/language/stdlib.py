"""What user code may import of the standard library when nobody has said anything. Data.

In it is what computes and nothing else: no module that opens files or sockets, starts programs or threads, reads the
machine, or runs text as code. Some of these have members that do more than that; `members` refuses those.
"""

from __future__ import annotations

SAFE_MODULES: dict[str, str] = {
    # Text
    "base64": "bytes as text",
    "binascii": "bytes as text",
    "csv": "tables as text; opens nothing by itself",
    "difflib": "compares texts",
    "html": "escapes and parses text",
    "io": "files in memory; those on disk, and buffers over other streams, are refused",
    "json": "values as text",
    "pprint": "values as readable text",
    "re": "patterns; a slow one ends at the task's timeout",
    "string": "constants and templates; its Formatter is guarded",
    "textwrap": "wraps text",
    "unicodedata": "a table of characters",
    "urllib.parse": "addresses as text; the rest of urllib opens connections",
    # Numbers
    "cmath": "computes",
    "decimal": "computes",
    "fractions": "computes",
    "math": "computes",
    "numbers": "abstract classes of numbers",
    "random": "computes; a child of its own seed each task",
    "secrets": "reads the kernel's random numbers",
    "statistics": "computes",
    "struct": "numbers as bytes",
    # Times
    "calendar": "computes",
    "datetime": "computes",
    "time": "reads the clock, sleeps; what sleeps too long ends at the task's timeout",
    "zoneinfo": "reads the table of time zones and nothing else: names with a path in them are refused by it",
    # Collections and functions
    "abc": "abstract base classes; its metaclass is refused",
    "array": "lists of numbers",
    "bisect": "searches lists",
    "collections": "containers",
    "contextlib": "context managers; those that replace members of sys are guarded",
    "copy": "copies; of what an object itself says that it is made of",
    "dataclasses": "writes methods as text: the names in it are checked",
    "enum": "constants; writing into the namespaces of modules is refused",
    "functools": "functions of functions; those that read attributes by name are guarded",
    "graphlib": "sorts graphs",
    "heapq": "queues in lists",
    "itertools": "iterators",
    "operator": "operators as functions; those that read attributes by name are guarded",
    "typing": "annotations; evaluating those that are text is refused",
    # Hashes
    "hashlib": "computes",
    "hmac": "computes",
    "ipaddress": "addresses as numbers; opens no connection",
    "uuid": "identifiers; uuid1 reads the machine's network address",
    "zlib": "compresses bytes; what grows too large ends at the task's memory limit",
}
"""The modules that are allowed by default, each with what makes it harmless. Their submodules are too."""

LEFT_OUT: dict[str, str] = {
    "ast": "parses text, which can be made to crash the interpreter",
    "asyncio": "starts programs and opens connections; top-level await works without importing it",
    "codecs": "opens files",
    "concurrent": "starts threads and processes",
    "gc": "lists every object of the process",
    "gzip": "opens files; zlib with wbits=31 reads and writes the same format",
    "importlib": "imports without asking",
    "inspect": "reads frames",
    "locale": "changes the whole process, and reads the machine's files",
    "logging": "opens files and connections, and its configuration is run as code",
    "os": "is the machine",
    "pathlib": "opens files",
    "pickle": "runs what it reads",
    "sys": "is the interpreter: every module, every frame",
    "threading": "starts threads",
    "traceback": "walks frames",
    "types": "makes functions from code, and classes from names",
    "weakref": "reaches objects that nobody has handed over",
    "xml": "opens files, and a small text can take all memory",
}
"""What people may miss, each with why it has to be allowed by name."""
