# ruff: noqa: E501 - the programs stand in tables, each on a line
"""Ordinary programs work, as real tasks of a real pool, wherever their modules are allowed."""

from __future__ import annotations

import asyncio
import http.server
import json
import textwrap
import threading
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from runner import TaskFailed, TaskRequest
from tests.sandbox import EVERYTHING, started
from tests.support import code_settings
from tests.unit.test_language_runtime import HARMLESS_LOOKING, PROGRAMS, WITH_CLASSES

pytestmark = [pytest.mark.needs("proc"), pytest.mark.needs("landlock"), pytest.mark.timeout(120)]

Program = tuple[str, Any]

PLAIN: dict[str, Program] = {
    "items to items": (
        "return [{'json': {'double': item['json']['n'] * 2}, 'pairedItem': i} for i, item in enumerate(_items)]",
        [{"json": {"double": 42}, "pairedItem": 0}],
    ),
    "a row for each": ("return [{'n': n} for n in range(3)]", [{"json": {"n": n}} for n in range(3)]),
    "nothing": ("pass", []),
    "a total": ("return {'total': sum(i['json']['n'] for i in _items)}", [{"json": {"total": 21}}]),
    "json": ("import json\nreturn json.loads('{\"a\": [1, null, true]}')", [{"json": {"a": [1, None, True]}}]),
    "re": ("import re\nreturn {'v': re.findall(r'(\\w+)@(\\w+)', 'a@b c@d')}", [{"json": {"v": [["a", "b"], ["c", "d"]]}}]),
    "datetime": (
        "import datetime as d\nreturn {'v': d.datetime(2024, 2, 29, 12, tzinfo=d.timezone.utc) + d.timedelta(days=1)}",
        [{"json": {"v": "2024-03-01T12:00:00+00:00"}}],
    ),
    "dates that are read": (
        "from datetime import datetime\nreturn {'v': datetime.strptime('3 Feb 2024', '%d %b %Y').strftime('%Y-%m-%d %A')}",
        [{"json": {"v": "2024-02-03 Saturday"}}],
    ),
    "the time": ("import time\nreturn {'v': time.time() > 1e9 and time.localtime().tm_year > 2000}", [{"json": {"v": True}}]),
    "sleeping": ("import time\ntime.sleep(0.01)\nreturn {'v': 1}", [{"json": {"v": 1}}]),
    "decimal": (
        "from decimal import Decimal, localcontext\nwith localcontext() as c:\n    c.prec = 5\n    v = Decimal(1) / Decimal(7)\nreturn {'v': str(v)}",
        [{"json": {"v": "0.14286"}}],
    ),
    "statistics": ("import statistics\nreturn {'v': statistics.median([3, 1, 2])}", [{"json": {"v": 2}}]),
    "itertools": ("import itertools\nreturn {'v': list(itertools.pairwise('abc'))}", [{"json": {"v": [["a", "b"], ["b", "c"]]}}]),
    "collections": (
        "from collections import deque, OrderedDict, ChainMap\nd = deque([1, 2], maxlen=2)\nd.append(3)\nreturn {'d': list(d), 'c': dict(ChainMap({'a': 1}, OrderedDict(b=2)))}",
        [{"json": {"d": [2, 3], "c": {"a": 1, "b": 2}}}],
    ),
    "a named tuple of types": (
        "import typing\nP = typing.NamedTuple('P', [('x', int), ('y', int)])\nreturn P(1, 2)._asdict()",
        [{"json": {"x": 1, "y": 2}}],
    ),
    "random numbers": ("import random\nrandom.seed(1)\nreturn {'v': sorted(random.sample(range(3), 3))}", [{"json": {"v": [0, 1, 2]}}]),
    "identifiers": ("import uuid\nreturn {'v': str(uuid.uuid5(uuid.NAMESPACE_DNS, 'a.b'))[14], 'n': len(str(uuid.uuid4()))}", [{"json": {"v": "5", "n": 36}}]),
    "hashes": ("import hashlib\nreturn {'v': hashlib.md5(b'a').hexdigest()}", [{"json": {"v": "0cc175b9c0f1b6a831c399e269772661"}}]),
    "texts": ("import textwrap, string\nreturn {'v': textwrap.dedent('  a').title() + string.capwords('b c')}", [{"json": {"v": "AB C"}}]),
    "fractions": ("from fractions import Fraction\nreturn {'v': str(sum([Fraction(1, 3)] * 3))}", [{"json": {"v": "1"}}]),
    "copies": ("import copy\na = {'x': [{'y': 1}]}\nb = copy.deepcopy(a)\nb['x'][0]['y'] = 2\nreturn {'a': a, 'b': copy.copy(b)}", [{"json": {"a": {"x": [{"y": 1}]}, "b": {"x": [{"y": 2}]}}}]),
    "a copy of many things": (
        "import copy, collections, datetime, decimal\nv = [collections.Counter('aa'), datetime.date(2024, 1, 2), decimal.Decimal('1.5'), {1, 2}, (3,), collections.defaultdict(list)]\nreturn {'v': copy.deepcopy(v) == v}",
        [{"json": {"v": True}}],
    ),
    "an enumeration": ("import enum\nE = enum.Enum('E', 'A B')\nreturn {'v': [e.name for e in E], 'b': E(2).name}", [{"json": {"v": ["A", "B"], "b": "B"}}]),
    "types of types": ("import typing\nreturn {'v': typing.get_origin(typing.List[int]) is list, 'a': str(typing.get_args(typing.Dict[str, int]))}", [{"json": {"v": True, "a": "(<class 'str'>, <class 'int'>)"}}]),
    "printing": ("print('a', 1)\nprint({'b': None}, sep='-')\nreturn {'v': 1}", [{"json": {"v": 1}}]),
    "waiting for a coroutine": ("async def f(x):\n    return x + 1\nreturn {'v': await f(1)}", [{"json": {"v": 2}}]),
    "a large result": ("return [{'n': n, 't': 'x' * 1000} for n in range(2000)]", [{"json": {"n": n, "t": "x" * 1000}} for n in range(2000)]),
    "emojis": ("return {'v': '🎉' + 'ä'.upper(), 'n': len('🎉')}", [{"json": {"v": "🎉Ä", "n": 1}}]),
}  # fmt: skip
"""Whose modules are allowed in every configuration."""

BY_DEFAULT: dict[str, Program] = {
    "csv": ("import csv, io\nreturn list(csv.DictReader(io.StringIO('a;b\\n1;2'), delimiter=';'))", [{"json": {"a": "1", "b": "2"}}]),
    "csv that is written": ("import csv, io\nf = io.StringIO()\ncsv.writer(f).writerows([[1, 'a,b']])\nreturn {'v': f.getvalue()}", [{"json": {"v": '1,"a,b"\r\n'}}]),
    "zoneinfo": (
        "from datetime import datetime\nfrom zoneinfo import ZoneInfo\nreturn {'v': datetime(2024, 7, 1, tzinfo=ZoneInfo('Europe/Berlin'))}",
        [{"json": {"v": "2024-07-01T00:00:00+02:00"}}],
    ),
    "addresses": ("import ipaddress\nreturn {'v': ipaddress.ip_address('10.1.2.3') in ipaddress.ip_network('10.0.0.0/8')}", [{"json": {"v": True}}]),
    "calendar": ("import calendar\nreturn {'v': calendar.monthrange(2023, 2)[1], 'n': calendar.month_name[3]}", [{"json": {"v": 28, "n": "March"}}]),
    "heaps": ("import heapq, bisect\nh = [3, 1, 2]\nheapq.heapify(h)\nreturn {'v': heapq.nsmallest(2, h), 'b': bisect.bisect([1, 3], 2)}", [{"json": {"v": [1, 2], "b": 1}}]),
    "html": ("import html\nreturn {'v': html.unescape(html.escape('<a>&'))}", [{"json": {"v": "<a>&"}}]),
    "addresses of pages": (
        "from urllib.parse import urlencode, parse_qs, urljoin\nreturn {'q': urlencode({'a': 'b c'}), 'p': parse_qs('x=1&x=2'), 'j': urljoin('http://a/b', 'c')}",
        [{"json": {"q": "a=b+c", "p": {"x": ["1", "2"]}, "j": "http://a/c"}}],
    ),
    "secrets": ("import secrets\nreturn {'v': len(secrets.token_hex(8))}", [{"json": {"v": 16}}]),
    "signatures": ("import hmac\nreturn {'v': hmac.new(b'k', b'm', 'sha256').hexdigest()[:8]}", [{"json": {"v": "b60090e3"}}]),
    "packed": ("import zlib, struct, binascii\nreturn {'v': zlib.decompress(zlib.compress(b'a' * 100)).decode() == 'a' * 100, 's': list(struct.unpack('!HB', b'\\x01\\x02\\x03')), 'c': binascii.crc32(b'a')}", [{"json": {"v": True, "s": [258, 3], "c": 3904355907}}]),
    "differences": ("import difflib\nreturn {'v': difflib.get_close_matches('appel', ['apple', 'pear'])}", [{"json": {"v": ["apple"]}}]),
    "sorted by what is needed": ("import graphlib\nreturn {'v': list(graphlib.TopologicalSorter({'b': ['a']}).static_order())}", [{"json": {"v": ["a", "b"]}}]),
    "pretty": ("import pprint\nreturn {'v': pprint.pformat({'b': 1, 'a': [2]})}", [{"json": {"v": "{'a': [2], 'b': 1}"}}]),
    "names of characters": ("import unicodedata\nreturn {'v': unicodedata.normalize('NFKD', 'é').encode('ascii', 'ignore').decode()}", [{"json": {"v": "e"}}]),
}  # fmt: skip
"""Whose modules are allowed unless others are named."""

OF_THE_SYSTEM: dict[str, Program] = {
    "a temporary file": (
        "import tempfile, os\nwith tempfile.NamedTemporaryFile('w+') as f:\n    f.write('abc')\n    f.flush()\n    n = os.path.getsize(f.name)\nreturn {'v': n}",
        [{"json": {"v": 3}}],
    ),
    "a folder of its own": (
        "import tempfile, pathlib, shutil\nd = pathlib.Path(tempfile.mkdtemp())\n(d / 'a').write_text('x')\nshutil.copy(d / 'a', d / 'b')\nv = sorted(p.name for p in d.iterdir())\nshutil.rmtree(d)\nreturn {'v': v}",
        [{"json": {"v": ["a", "b"]}}],
    ),
    "packed files": (
        "import io, zipfile, gzip\nb = io.BytesIO()\nwith zipfile.ZipFile(b, 'w') as z: z.writestr('a.txt', 'hello')\nreturn {'v': zipfile.ZipFile(b).read('a.txt').decode(), 'g': gzip.decompress(gzip.compress(b'x')).decode()}",
        [{"json": {"v": "hello", "g": "x"}}],
    ),
    "a database": (
        "import sqlite3\nc = sqlite3.connect(':memory:')\nc.execute('create table t (a)')\nc.executemany('insert into t values (?)', [(1,), (2,)])\nreturn {'v': c.execute('select sum(a) from t').fetchone()[0]}",
        [{"json": {"v": 3}}],
    ),
    "threads": (
        "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(3) as p:\n    v = list(p.map(lambda n: n * n, range(4)))\nreturn {'v': v}",
        [{"json": {"v": [0, 1, 4, 9]}}],
    ),
    "coroutines side by side": (
        "import asyncio\nasync def f(n):\n    await asyncio.sleep(0.01)\n    return n\nreturn {'v': await asyncio.gather(f(1), f(2))}",
        [{"json": {"v": [1, 2]}}],
    ),
    "xml": ("import xml.etree.ElementTree as E\nreturn {'v': E.fromstring('<a><b>x</b></a>').findtext('b')}", [{"json": {"v": "x"}}]),
    "a mail": (
        "from email.message import EmailMessage\nm = EmailMessage()\nm['Subject'] = 'x'\nm.set_content('hello')\nreturn {'v': m.get_content().strip(), 's': m['Subject']}",
        [{"json": {"v": "hello", "s": "x"}}],
    ),
    "a log": (
        "import io, logging\ns = io.StringIO()\nl = logging.getLogger('x')\nl.addHandler(logging.StreamHandler(s))\nl.warning('w')\nreturn {'v': s.getvalue()}",
        [{"json": {"v": "w\n"}}],
    ),
    "its environment": ("import os\nreturn {'v': os.environ['TMPDIR'] != '', 'n': os.cpu_count() > 0}", [{"json": {"v": True, "n": True}}]),
    "pickles": ("import pickle\nreturn {'v': pickle.loads(pickle.dumps([1, {'a': 2}]))}", [{"json": {"v": [1, {"a": 2}]}}]),
    "types of files": ("import mimetypes\nreturn {'v': mimetypes.guess_type('a.html')[0]}", [{"json": {"v": "text/html"}}]),
}  # fmt: skip

OF_PACKAGES: dict[str, Program] = {
    "numpy": ("import numpy as np\nreturn {'m': float(np.mean([1, 2, 4])), 'd': np.arange(4).reshape(2, 2).T.tolist()}", [{"json": {"m": 7 / 3, "d": [[0, 2], [1, 3]]}}]),
    "numpy solves": ("import numpy as np\nreturn {'v': np.linalg.inv(np.array([[2.0, 0], [0, 4.0]])).tolist()}", [{"json": {"v": [[0.5, 0], [0, 0.25]]}}]),
    "numpy sorts": ("import numpy as np\na = np.array([3, 1, 2])\nreturn {'v': a[a.argsort()][::-1].tolist(), 's': int(a[a > 1].sum())}", [{"json": {"v": [3, 2, 1], "s": 5}}]),
    "numpy draws": ("import numpy as np\nr = np.random.default_rng(1)\nreturn {'v': bool(0 <= r.random() < 1), 'n': int(r.integers(5, 6))}", [{"json": {"v": True, "n": 5}}]),
    "pandas reads a table": ("import pandas as pd, io\nreturn pd.read_csv(io.StringIO('a,b\\n1,x\\n2,y'))", [{"json": {"a": 1, "b": "x"}}, {"json": {"a": 2, "b": "y"}}]),
    "pandas groups": ("import pandas as pd\nreturn pd.DataFrame({'k': list('aab'), 'v': [1, 2, 3]}).groupby('k', as_index=False)['v'].sum()", [{"json": {"k": "a", "v": 3}}, {"json": {"k": "b", "v": 3}}]),
    "pandas knows dates": ("import pandas as pd\nreturn {'v': pd.to_datetime('06.05.2024', dayfirst=True).strftime('%Y-%m-%d'), 'w': pd.Timestamp('2024-05-06').day_name()}", [{"json": {"v": "2024-05-06", "w": "Monday"}}]),
    "pandas merges": ("import pandas as pd\nreturn pd.DataFrame({'k': [1, 2], 'x': [3, 4]}).merge(pd.DataFrame({'k': [2], 'y': [5]}), on='k')", [{"json": {"k": 2, "x": 4, "y": 5}}]),
    "pandas turns": ("import pandas as pd\nreturn pd.DataFrame({'a': [1, 1], 'b': ['x', 'y'], 'v': [2, 3]}).pivot_table(index='a', columns='b', values='v', aggfunc='sum').reset_index()", [{"json": {"a": 1, "x": 2, "y": 3}}]),
    "pandas resamples": ("import pandas as pd\ns = pd.Series(range(4), index=pd.date_range('2024-01-01', periods=4, freq='12h'))\nreturn {'v': s.resample('D').sum().tolist()}", [{"json": {"v": [1, 5]}}]),
    "pandas of the items": ("import pandas as pd\nd = pd.DataFrame([i['json'] for i in _items])\nd['m'] = d['n'].apply(lambda n: n + 1)\nreturn d.to_dict('records')", [{"json": {"n": 21, "m": 22}}]),
    "pandas lacks values": ("import pandas as pd\nreturn pd.DataFrame({'a': [1.5, None], 'b': ['x', None]})", [{"json": {"a": 1.5, "b": "x"}}, {"json": {"a": None, "b": None}}]),
}  # fmt: skip


def in_a_function(table: dict[str, Program]) -> dict[str, Program]:
    """The programs of a table, each as the body of a function."""
    return {
        name: (
            f"def program():\n{textwrap.indent(code, '    ')}\nreturn {{'v': program()}}",
            [{"json": {"v": expected}}],
        )
        for name, (code, expected) in table.items()
    }


LANGUAGE = in_a_function({f"language: {name}": program for name, program in PROGRAMS.items()})
CLASSES = in_a_function({f"classes: {name}": program for name, program in WITH_CLASSES.items()})

WITH_PACKAGES = {"external_allow": {"numpy", "pandas"}}
CONFIGURATIONS: dict[str, tuple[dict[str, Any], dict[str, Program]]] = {
    "default": ({**WITH_PACKAGES}, PLAIN | BY_DEFAULT | OF_PACKAGES | LANGUAGE),
    "harmless": ({"stdlib_allow": HARMLESS_LOOKING, **WITH_PACKAGES}, PLAIN | OF_PACKAGES),
    "stdlib": ({"stdlib_allow": {"*"}}, PLAIN | BY_DEFAULT | OF_THE_SYSTEM),
    "full": (EVERYTHING, PLAIN | BY_DEFAULT | OF_THE_SYSTEM | OF_PACKAGES | LANGUAGE | CLASSES),
}
"""Each with the programs whose modules it allows."""


async def _run_all(config: dict[str, Any], programs: dict[str, Program]) -> dict[str, Any]:
    results: dict[str, Any] = {}
    async with started(**config) as executor:
        assert executor.report.is_complete, str(executor.report)
        for name, (code, _) in programs.items():
            try:
                request = TaskRequest("t", code_settings(code), lambda _: None)
                results[name] = json.loads(bytes((await executor.execute(request)).result))
            except TaskFailed as failed:
                results[name] = f"{failed.message} {failed.description}"
    return results


@cache
def results(configuration: str) -> dict[str, Any]:
    """What comes of all programs of a configuration; they share a pool."""
    return asyncio.run(_run_all(*CONFIGURATIONS[configuration]))


@pytest.mark.needs("pandas")
@pytest.mark.parametrize(
    ("configuration", "name"),
    [(configuration, name) for configuration, (_, programs) in CONFIGURATIONS.items() for name in programs],
)
def test_the_program_works(configuration: str, name: str) -> None:
    expected = json.loads(json.dumps(CONFIGURATIONS[configuration][1][name][1]))
    assert results(configuration)[name] == expected


def test_there_are_programs_enough() -> None:
    assert len(PLAIN | BY_DEFAULT | OF_THE_SYSTEM | OF_PACKAGES) >= 60


class _Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer(b'{"path": "%b"}' % self.path.encode())

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, document: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(document)))
        self.end_headers()
        self.wfile.write(document)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture
def server() -> Iterator[int]:
    """A server on this machine."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield listening.server_address[1]
        listening.shutdown()
        thread.join()


OVER_THE_NETWORK: dict[str, Program] = {
    "requests": ("import requests\nr = requests.get(_items[0]['json']['url'] + 'a', params={'b': 'c'}, timeout=5)\nreturn {'s': r.status_code, 'v': r.json()}", [{"json": {"s": 200, "v": {"path": "/a?b=c"}}}]),
    "requests in a session": ("import requests\nwith requests.Session() as s:\n    v = [s.post(_items[0]['json']['url'], json={'n': n}, timeout=5).json() for n in range(3)]\nreturn v", [{"json": {"n": n}} for n in range(3)]),
    "requests of many": ("import requests\nfrom concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(4) as p:\n    v = list(p.map(lambda n: requests.get(_items[0]['json']['url'] + str(n), timeout=5).json()['path'], range(4)))\nreturn {'v': v}", [{"json": {"v": ["/0", "/1", "/2", "/3"]}}]),
    "requests that fail": ("import requests\ntry:\n    requests.get('http://127.0.0.1:9/', timeout=2)\nexcept requests.ConnectionError:\n    return {'v': 'refused'}", [{"json": {"v": "refused"}}]),
    "requests by name": ("import requests\nurl = _items[0]['json']['url'].replace('127.0.0.1', 'localhost')\nreturn {'v': requests.get(url, timeout=5).json()['path']}", [{"json": {"v": "/"}}]),
    "urllib": ("import urllib.request\nreturn {'v': urllib.request.urlopen(_items[0]['json']['url'] + 'x', timeout=5).read().decode()}", [{"json": {"v": '{"path": "/x"}'}}]),
    "http.client": ("import http.client\nc = http.client.HTTPConnection(_items[0]['json']['url'][7:-1], timeout=5)\nc.request('GET', '/y')\nreturn {'v': c.getresponse().status}", [{"json": {"v": 200}}]),
    "asyncio": (
        "import asyncio, urllib.parse\nu = urllib.parse.urlsplit(_items[0]['json']['url'])\nr, w = await asyncio.open_connection(u.hostname, u.port)\nw.write(b'GET /z HTTP/1.0\\r\\n\\r\\n')\nv = (await r.read()).split(b'\\r\\n\\r\\n')[1].decode()\nw.close()\nreturn {'v': v}",
        [{"json": {"v": '{"path": "/z"}'}}],
    ),
}  # fmt: skip


@pytest.mark.parametrize("language", ["n8n", "full"])
async def test_programs_reach_a_server_where_the_network_is_allowed(server: int, language: str) -> None:
    items = [{"json": {"url": f"http://127.0.0.1:{server}/"}}]
    config: dict[str, Any] = {"stdlib_allow": {"*"}, "external_allow": {"requests"}, "language": language}
    failed = {}
    async with started(**config) as executor:
        assert executor.report.is_complete, str(executor.report)
        for name, (code, expected) in OVER_THE_NETWORK.items():
            try:
                document = (await executor.execute(TaskRequest("t", code_settings(code, items), lambda _: None))).result
            except TaskFailed as error:
                failed[name] = f"{error.message} {error.description}"
            else:
                if json.loads(bytes(document)) != expected:
                    failed[name] = bytes(document).decode()
    assert failed == {}
