"""The names that user code may not use, each with the reason. Data; no other module of this folder has a list of them.

A name that is blocked as an attribute is blocked wherever an attribute can be named: after a dot, in `from x import`,
in a class pattern, in a format string, and in the text that `getattr` and its relatives are given.
"""

from __future__ import annotations

_ATTRIBUTE_GROUPS: tuple[tuple[str, str], ...] = (
    (
        "leads from any value to its class, and from there to every class of the process",
        "__class__ __base__ __bases__ __mro__ mro __subclasses__ __subclasshook__ __thisclass__ __self_class__ "
        "__objclass__ __orig_bases__ __orig_class__ __origin__ __mro_entries__",
    ),
    (
        "leads from a function to the namespace of the module that it was written in",
        "__globals__ __builtins__ __func__ __self__ __wrapped__ __closure__ cell_contents func_globals func_code "
        "im_func im_self im_class",
    ),
    (
        "is a namespace as a dict, which can be read by names made at run time",
        "__dict__ __weakref__ __slots__ __annotations__ __annotate__",
    ),
    (
        "is compiled code, or changes what a function does",
        "__code__ __forward_code__ __defaults__ __kwdefaults__ co_code co_consts co_names co_replace gi_code cr_code "
        "ag_code f_code __type_params__ __signature__",
    ),
    (
        "leads to the frames of what is running, and so to the variables of others",
        "__traceback__ tb_frame tb_next tb_lasti gi_frame gi_yieldfrom cr_frame cr_await cr_origin ag_frame ag_await "
        "f_back f_globals f_builtins f_locals f_trace f_generator",
    ),
    (
        "reads or writes attributes by names made at run time",
        "__getattribute__ __getattr__ __setattr__ __delattr__ __get__ __set__ __delete__ __set_name__",
    ),
    (
        "makes objects, or changes classes, without the usual ways",
        "__new_member__ __init_subclass__ __class_getitem__ __prepare__ __instancecheck__ __subclasscheck__ "
        "__abstractmethods__ __dataclass_fields__ __dataclass_params__ __match_args__ __module__",
    ),
    (
        "is what copying and pickling call, which run any function and set any attribute",
        "__reduce__ __reduce_ex__ __getstate__ __setstate__ __getnewargs__ __getnewargs_ex__ __copyreg__",
    ),
    (
        "belongs to the import system",
        "__import__ __loader__ __spec__ __path__ __cached__ __package__ __build_class__",
    ),
)

BLOCKED_ATTRIBUTES: dict[str, str] = {name: reason for reason, names in _ATTRIBUTE_GROUPS for name in names.split()}
"""The attributes that are refused wherever they are named, with the reason.

Not in it, because they are harmless and used: `__name__`, `__qualname__`, `__doc__`, `__cause__`, `__context__` (an
exception leads to exceptions, and their tracebacks are refused), `__notes__`, `__init__`, `__call__`, the operators.
"""

BLOCKED_NAMES: dict[str, str] = {
    "__builtins__": "is the namespace of all builtins",
    "__globals__": "is the namespace of a module",
    "__loader__": "imports without being asked about it",
    "__spec__": "leads to a loader",
    "__import__": "imports by a name made at run time",
    "__class__": "makes an object claim another class, or leads from a method to its class",
    "__dict__": "replaces the namespace of an object",
    "__annotations__": "is read as text that becomes code",
    "__dataclass_fields__": "names attributes that are read at run time",
    "__getstate__": "is called by copying and pickling",
    "__setstate__": "is called by copying and pickling",
    "__reduce__": "lets copying and pickling call any function",
    "__reduce_ex__": "lets copying and pickling call any function",
    "__prepare__": "puts names into a class that its text does not show",
    "__slotnames__": "names attributes that copying reads",
    "__subclasshook__": "is shown any class, and the class of classes",
}
"""What may be neither read nor bound under this name: as a variable, an argument, a function, a class, an import."""

WATCHED_ATTRIBUTES: dict[str, str] = {
    "format": "of a text reads attributes by the names in that text",
    "format_map": "of a text reads attributes by the names in that text",
    "obj": "of an AttributeError is the object that lacked it, such as a module",
    "args": "of an error inside of the standard library is what it was about, such as a metaclass",
}
"""Attributes that are harmless on most objects: each access is looked at when it happens."""

FIXED_CLASSES: dict[str, str] = {
    "dataclasses.Field": "has a name that becomes text which is run as code",
    "dataclasses._DataclassParams": "says how that text is made",
    "enum.property": "has a name by which it reads an attribute",
    "typing._BaseGenericAlias": "sets the attributes of the class that it stands for",
}
"""Classes of the standard library whose objects stay as they were made: nobody sets their attributes or inherits."""

OPEN_CLASSES: dict[str, str] = {
    "runner.execution.sandbox.child.given.records.Record": "has the keys of n8n's data for attributes, such as `_id`",
}
"""Classes of the runner whose objects keep nothing for themselves."""

NAMED_TUPLE_API = frozenset({"_asdict", "_replace", "_make", "_fields", "_field_defaults"})
"""What is public of a named tuple although it begins with an underscore."""

ENUM_API = frozenset({"_name_", "_value_"})
"""The same of an enumeration."""


def is_mangled(name: str) -> bool:
    """Whether a name is what Python makes of `__attr` inside of a class: `_ClassName__attr`."""
    _, found, rest = name[1:].partition("__")
    return name[:1] == "_" and name[1:2] not in ("", "_") and bool(found) and bool(rest.strip("_"))


def is_private(name: str) -> bool:
    """Whether a name begins with an underscore, without being one that Python gives a meaning to."""
    return name[:1] == "_" and not (len(name) > 4 and name[:2] == name[-2:] == "__")


def mangled(name: str, class_name: str | None) -> str:
    """A name as Python stores it when it is written inside of a class."""
    if class_name is None or name[:2] != "__" or name[-2:] == "__" or not class_name.strip("_"):
        return name
    return f"_{class_name.lstrip('_')}{name}"
