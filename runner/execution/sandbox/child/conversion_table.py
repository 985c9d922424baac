"""What stands in JSON for a value that it lacks: one table. Runs in the child.

A row names types as text, `module.name`, so that nothing has to be imported for them. A name that begins with a dot is
an attribute by which types are known, whoever made them.

The most specific type counts: the one that comes first among the bases of a value's own. Where none of these is in
the table, it is the first row that fits, and the last one fits everything.

The documentation is made from this table, and each of its examples is a test.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from runner.execution.sandbox.child import converters as to


class Row:
    """What becomes of the values of some types.

    Parameters:
        values: which values, in words.
        becomes: what becomes of them, in words.
        examples: Python expressions, each with the JSON that it becomes; with None if it is refused.
        types: the types, as the docstring of this module says; none where JSON has the value itself.
        convert: how they are converted.
        needs: the package that the examples need, if they need one that the project itself does not.
    """

    __slots__ = ("becomes", "convert", "examples", "needs", "types", "values")

    def __init__(  # written out: this module is loaded for each task, and generated classes take a millisecond
        self,
        values: str,
        becomes: str,
        examples: dict[str, str | None],
        types: tuple[str, ...] = (),
        convert: Callable[[Any], Any] = str,
        needs: str | None = None,
    ) -> None:
        """A row of the table."""
        self.values = values
        self.becomes = becomes
        self.examples = examples
        self.types = types
        self.convert = convert
        self.needs = needs


PLAIN = (
    Row("`None`, `True`, `False`", "the same", {"[None, True, False]": "[null,true,false]"}),
    Row("text, also of a subclass and of a `StrEnum`", "the same text", {"'ü'": '"ü"'}),
    Row(
        "text with half of a surrogate pair, such as an emoji cut in two",
        "the same, escaped",
        {r"'\ud83d'": r'"\ud83d"'},
    ),
    Row(
        "whole numbers of up to 4,300 digits, also of an `IntEnum`",
        "all their digits; see above for what JavaScript makes of more than 15 of them",
        {"2**64 + 1": "18446744073709551617", "http.HTTPStatus.OK": "200"},
    ),
    Row("other numbers", "the shortest text that is read as the same number", {"0.1": "0.1", "1e300": "1e+300"}),
    Row("NaN and Infinity, wherever they are", "`null`", {"[math.nan, -math.inf]": "[null,null]"}),
    Row(
        "`list` and `tuple`, also a named one and other subclasses",
        "a list; but where n8n needs an object (an item, its `json`, its `binary`), a named tuple is one",
        {"(1, 'a')": '[1,"a"]', "collections.namedtuple('Point', 'x y')(1, 2)": "[1,2]"},
    ),
    Row(
        "`dict`, also `OrderedDict`, `Counter`, `defaultdict` and other subclasses",
        "an object; see above for keys that are not text",
        {"{'a': 1}": '{"a":1}', "collections.Counter('aab')": '{"a":2,"b":1}'},
    ),
)

TIMES = (
    Row(
        "`datetime`",
        "ISO 8601, with the offset if it has one",
        {
            "datetime.datetime(2024, 1, 2, 3, 4)": '"2024-01-02T03:04:00"',
            "datetime.datetime(2024, 1, 2, 3, 4, 5, 600000, datetime.UTC)": '"2024-01-02T03:04:05.600000+00:00"',
        },
        ("datetime.datetime",),
        to.iso,
    ),
    Row("`date`", "ISO 8601", {"datetime.date(2024, 1, 2)": '"2024-01-02"'}, ("datetime.date",), to.iso),
    Row("`time`", "ISO 8601", {"datetime.time(3, 4)": '"03:04:00"'}, ("datetime.time",), to.iso),
    Row(
        "`timedelta`",
        "a duration of ISO 8601 in days, hours, minutes and seconds",
        {
            "datetime.timedelta(days=1, hours=2, seconds=0.5)": '"P1DT2H0.5S"',
            "datetime.timedelta(minutes=-90)": '"-PT1H30M"',
            "datetime.timedelta()": '"PT0S"',
        },
        ("datetime.timedelta",),
        to.duration,
    ),
)

NUMBERS = (
    Row(
        "`Decimal`",
        "text with all its digits; NaN and Infinity become `null`",
        {"decimal.Decimal('1.10')": '"1.10"', "decimal.Decimal('NaN')": "null"},
        ("decimal.Decimal",),
        to.decimal,
    ),
    Row("`Fraction`", "text", {"fractions.Fraction(1, 3)": '"1/3"'}, ("fractions.Fraction",)),
    Row("`complex`", "text", {"1 + 2j": '"(1+2j)"'}, ("builtins.complex",)),
)

TEXTS = (
    Row(
        "`bytes`, `bytearray`, `memoryview`",
        "base64, as n8n has it in the `data` of binary data",
        {"b'hello'": '"aGVsbG8="', "bytearray(b'hello')": '"aGVsbG8="', "memoryview(b'hello')": '"aGVsbG8="'},
        ("builtins.bytes", "builtins.bytearray", "builtins.memoryview"),
        to.base64,
    ),
    Row("`UUID`", "text", {"uuid.UUID(int=1)": '"00000000-0000-0000-0000-000000000001"'}, ("uuid.UUID",)),
    Row(
        "paths, and whatever else has `__fspath__`",
        "the path as text",
        {"pathlib.PurePosixPath('/a/b')": '"/a/b"'},
        ("os.PathLike",),
        os.fspath,
    ),
    Row("`UserString`", "its text", {"collections.UserString('a')": '"a"'}, ("collections.UserString",)),
    Row(
        "exceptions",
        "their text; if there is none, their name",
        {"ValueError('no such customer')": '"no such customer"', "TimeoutError()": '"TimeoutError"'},
        ("builtins.BaseException",),
        to.text_or_name,
    ),
)

OBJECTS = (
    Row(
        "`Enum`",
        "its value, converted in turn",
        {"enum.Enum('Colour', {'RED': 'red'}).RED": '"red"', "enum.Flag('Right', ['READ', 'WRITE']).WRITE": "2"},
        ("enum.Enum",),
        to.enum_value,
    ),
    Row(
        "objects of a dataclass",
        "an object of their fields",
        {"dataclasses.make_dataclass('Point', ['x', 'y'])(1, 2)": '{"x":1,"y":2}'},
        (".__dataclass_fields__",),
        to.of_dataclass,
    ),
    Row(
        "attrs objects",
        "an object of their fields",
        {"attrs.make_class('Point', ['x', 'y'])(1, 2)": '{"x":1,"y":2}'},
        (".__attrs_attrs__",),
        to.of_attrs,
    ),
    Row(
        "pydantic models",
        "what `model_dump()` says",
        {"pydantic.create_model('Point', x=(int, ...), y=(int, ...))(x=1, y=2)": '{"x":1,"y":2}'},
        ("pydantic.BaseModel",),
        to.of_pydantic,
        "pydantic",
    ),
    Row(
        "other mappings, such as `ChainMap`, `UserDict`, `MappingProxyType`",
        "an object",
        {"collections.ChainMap({'a': 1})": '{"a":1}', "types.MappingProxyType({'a': 1})": '{"a":1}'},
        ("collections.abc.Mapping",),
        dict,
    ),
)

LISTS = (
    Row(
        "`keys()`, `values()` and `items()` of a mapping",
        "a list",
        {"{'b': 1, 'a': 2}.keys()": '["b","a"]', "{'a': 1}.values()": "[1]", "{'a': 1}.items()": '[["a",1]]'},
        ("collections.abc.MappingView",),
        list,
    ),
    Row(
        "`set`, `frozenset` and other sets",
        "a list, sorted if its members can be",
        {"{3, 1, 2}": "[1,2,3]", "frozenset('ba')": '["a","b"]', "{None}": "[null]"},
        ("collections.abc.Set",),
        to.in_order,
    ),
    Row(
        "other sequences, such as `range`, `deque`, `array`, `UserList`",
        "a list",
        {"range(3)": "[0,1,2]", "collections.deque('ab')": '["a","b"]', "array.array('d', [0.5])": "[0.5]"},
        ("collections.abc.Sequence",),
        list,
    ),
)

NUMPY = (
    Row(
        "numbers, truth values and texts",
        "Python's own, converted in turn; `float32` with the digits that it has as `float64`",
        {
            "numpy.int64(7)": "7",
            "numpy.uint64(2**64 - 1)": "18446744073709551615",
            "numpy.bool_(True)": "true",
            "numpy.float64(0.1)": "0.1",
            "numpy.float32(0.1)": "0.10000000149011612",
            "numpy.float32('nan')": "null",
            "numpy.longdouble(0.5)": "0.5",
            "numpy.complex128(1 + 2j)": '"(1+2j)"',
        },
        ("numpy.generic",),
        to.numpy_scalar,
        "numpy",
    ),
    Row(
        "`datetime64`",
        "ISO 8601; NaT becomes `null`",
        {
            "numpy.datetime64('2024-01-02')": '"2024-01-02"',
            "numpy.datetime64('2024-01-02T03:04:05.600', 'ns')": '"2024-01-02T03:04:05.6"',
            "numpy.datetime64('NaT', 's')": "null",
        },
        ("numpy.datetime64",),
        to.numpy_datetime,
        "numpy",
    ),
    Row(
        "`timedelta64`",
        "a duration of ISO 8601, or as numpy writes it for years, months and less than nanoseconds; NaT becomes `null`",
        {
            "numpy.timedelta64(90, 'm')": '"PT1H30M"',
            "numpy.timedelta64(3, 'M')": '"3 months"',
            "numpy.timedelta64('NaT', 's')": "null",
        },
        ("numpy.timedelta64",),
        to.numpy_timedelta,
        "numpy",
    ),
    Row(
        "rows of structured arrays",
        "an object of their fields",
        {
            "numpy.array([(1, 0.5)], [('n', 'i4'), ('x', 'f8')])[0]": '{"n":1,"x":0.5}',
            "numpy.void(b'hello')": '"aGVsbG8="',
        },
        ("numpy.void",),
        to.numpy_record,
        "numpy",
    ),
    Row(
        "arrays",
        "a list for each dimension, its members converted in turn; without dimensions, the one member",
        {
            "numpy.array([[1, 2], [3, 4]])": "[[1,2],[3,4]]",
            "numpy.array(5)": "5",
            "numpy.array([0.5, numpy.nan])": "[0.5,null]",
            "numpy.array(['2024-01-02', 'NaT'], 'datetime64[ns]')": '["2024-01-02T00:00:00",null]',
            "numpy.array([(1, 0.5)], [('n', 'i4'), ('x', 'f8')])": '[{"n":1,"x":0.5}]',
            "numpy.ma.masked_equal([1, 2], 2)": "[1,null]",
        },
        ("numpy.ndarray",),
        to.numpy_array,
        "numpy",
    ),
)

PANDAS = (
    Row(
        "`NaT` and `NA`",
        "`null`",
        {"[pandas.NaT, pandas.NA]": "[null,null]"},
        ("pandas.NaT", "pandas.NA"),
        to.nothing,
        "pandas",
    ),
    Row(
        "`Timestamp`",
        "ISO 8601, to the nanosecond if it has any",
        {
            "pandas.Timestamp('2024-01-02 03:04')": '"2024-01-02T03:04:00"',
            "pandas.Timestamp('2024-01-02', tz='UTC')": '"2024-01-02T00:00:00+00:00"',
        },
        ("pandas.Timestamp",),
        to.iso,
        "pandas",
    ),
    Row(
        "`Timedelta`",
        "a duration of ISO 8601, to the nanosecond",
        {"pandas.Timedelta(days=1, hours=2)": '"P1DT2H"', "pandas.Timedelta(1)": '"PT0.000000001S"'},
        ("pandas.Timedelta",),
        to.duration,
        "pandas",
    ),
    Row("`Period`", "text", {"pandas.Period('2024-01')": '"2024-01"'}, ("pandas.Period",), needs="pandas"),
    Row("`Interval`", "text", {"pandas.Interval(0, 1)": '"(0, 1]"'}, ("pandas.Interval",), needs="pandas"),
    Row(
        "`Index`, `Categorical` and other arrays of pandas",
        "a list of the values",
        {
            "pandas.Index(['a', None])": '["a",null]',
            "pandas.Categorical(['a', 'b', 'a'])": '["a","b","a"]',
            "pandas.array([1, None])": "[1,null]",
            "pandas.date_range('2024-01-02', periods=1)": '["2024-01-02T00:00:00"]',
        },
        ("pandas.Index", "pandas.api.extensions.ExtensionArray"),
        to.members,
        "pandas",
    ),
    Row(
        "`MultiIndex`",
        "a list of lists",
        {"pandas.MultiIndex.from_tuples([('a', 1)])": '[["a",1]]'},
        ("pandas.MultiIndex",),
        list,
        "pandas",
    ),
    Row(
        "`Series`",
        "an object by its labels if these are texts or the index has a name, and no label occurs twice; else a list",
        {
            "pandas.Series([1.5, None])": "[1.5,null]",
            "pandas.Series({'a': 1, 'b': 2})": '{"a":1,"b":2}',
            "pandas.Series([5, 5, 7], name='n').value_counts()": '{"5":2,"7":1}',
        },
        ("pandas.Series",),
        to.series,
        "pandas",
    ),
    Row(
        "`DataFrame`",
        "a list of objects, one a row; an index that has a name is a column as well, one without is left out",
        {
            "pandas.DataFrame({'n': [1, 2], 'x': [0.5, None]})": '[{"n":1,"x":0.5},{"n":2,"x":null}]',
            "pandas.DataFrame({'n': [1]}, pandas.Index(['a'], name='key'))": '[{"key":"a","n":1}]',
            "pandas.DataFrame({'n': [1]}, ['a'])": '[{"n":1}]',
        },
        ("pandas.DataFrame",),
        to.data_frame,
        "pandas",
    ),
)

REST = (
    Row(
        "coroutines, and whatever else can be awaited",
        "refused: it has to be awaited",
        {"asyncio.sleep(1)": None},
        ("collections.abc.Awaitable",),
        to.refuse_awaitable,
    ),
    Row(
        "asynchronous generators and iterators",
        "refused: make a list of it, `[x async for x in ...]`",
        {"(await x for x in [])": None},
        ("collections.abc.AsyncIterator",),
        to.refuse_async_iterator,
    ),
    Row(
        "generators, `map`, `zip`, open files and other iterators",
        "refused: make a list of it, `list(...)`",
        {"(n for n in [1, 2])": None, "map(abs, [1])": None, "io.BytesIO()": None},
        ("collections.abc.Iterator",),
        to.refuse_iterator,
    ),
    Row(
        "anything else",
        "`str(value)`; if that raises, the task fails with it",
        {"ipaddress.ip_address('::1')": '"::1"', "Ellipsis": '"Ellipsis"'},
        ("builtins.object",),
    ),
)

TABLE: dict[str, tuple[Row, ...]] = {
    "What JSON has": PLAIN,
    "Dates and times": TIMES,
    "Numbers": NUMBERS,
    "Texts": TEXTS,
    "Objects": OBJECTS,
    "Lists": LISTS,
    "numpy": NUMPY,
    "pandas": PANDAS,
    "The rest": REST,
}
"""All rows, in the groups in which they are documented."""
