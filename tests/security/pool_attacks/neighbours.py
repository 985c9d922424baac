# ruff: noqa: E501 - the code of Code nodes

"""Attacks on what tasks share: the runner, the zygote, those that run beside them, and those that come later."""

from __future__ import annotations

import marshal

from tests.security.pool_attacks.attack import table

FLOOD = """
    block = {block}
    {before}
    end = time.monotonic() + 0.4
    while time.monotonic() < end:
        os.write({descriptor}, block)
"""


def _flood(block: str, before: str = "", descriptor: int = 3) -> str:
    return FLOOD.format(block=block, before=before, descriptor=descriptor)


ANOTHER_TEXT = marshal.dumps(
    (
        compile("def code(_items, _query): return {'loot': 'another text has run'}", "<code>", "exec").co_consts[0],
        ("_items", "_query"),
        False,
        ((), (), False, False),
    )
).hex()
"""Compiled code, in the form that workers send it in."""

FORGED_CODE = (
    "\n".join(f"k{number} = 'k{1000 + number}' * 800" for number in range(1300))
    + """
if not world.again:
    send(frame(5, bytes.fromhex('"""
    + ANOTHER_TEXT
    + """')))
"""
)
"""Code that becomes more than 4 MiB when compiled, which the worker does not send; so it can send another one itself."""

NEIGHBOURS = [
    *table(
        {
            "later: json is changed": """
                import json
                found = json.dumps(1) != '1'
                json.dumps = lambda *a, **k: '[]'
                return world.again and found
            """,
            "later: builtins are changed": """
                import builtins
                found = hasattr(builtins, 'left')
                builtins.left = builtins.len = lambda *a: 99
                return world.again and found
            """,
            "later: a module is left": """
                found = 'left' in sys.modules
                sys.modules['left'] = sys
                return world.again and found
            """,
            "later: a path is left": """
                found = world.outside in sys.path
                sys.path.insert(0, world.outside)
                return world.again and found
            """,
            "later: the environment is changed": """
                found = 'LEFT' in os.environ
                os.environ['LEFT'] = 'x'
                return world.again and found
            """,
            "later: files of another task": """
                found = os.listdir(world.own)
                Path(world.own, 'items').write_text(world.secret)
                os.makedirs(world.own + '/a/b/c', exist_ok=True)
                return world.again and found
            """,
            "later: the working folder": """
                found = os.getcwd() != '/'
                os.chdir(world.own)
                return world.again and found
            """,
            "later: a trace function": """
                found = sys.gettrace()
                sys.settrace(lambda *a: None)
                return world.again and found
            """,
            "later: an import hook": """
                found = len(sys.meta_path) > 5
                sys.meta_path.extend([None] * 5)
                return world.again and found
            """,
            "later: settings of standard input": """
                found = not os.get_blocking(0)
                os.set_blocking(0, False)
                return world.again and found
            """,
        },
        twice=True,
    ),
    *table(
        {
            "later: what the runner keeps of its code": f"if not world.again:\n    send(frame(5, bytes.fromhex('{ANOTHER_TEXT}')))",
            "later: what the runner keeps of its code, which is too long": FORGED_CODE,
        },
        twice=True,
        unproven="there is no runner outside of a pool that would keep it",
    ),
    *table(
        {
            "secrets: its environment": "return [value for value in os.environ.values() if 'token-of-' 'the-runner' in value]",
            "secrets: all objects": """
                import gc
                return [x for x in gc.get_objects() if isinstance(x, dict) and 'token-of-' 'the-runner' in repr(x.get('auth_token'))]
            """,
            "secrets: texts of all objects": """
                import gc
                wanted = ''.join(['token-of-the-', 'runner'])  # a sum would be a constant of this code, to be found
                found = []
                for each in gc.get_objects():
                    if type(each) in (dict, list, tuple, set):
                        members = [*each.values(), *each] if type(each) is dict else each
                        found += [m for m in members if type(m) is str and wanted in m and len(m) < 200]
                return [x for x in found if 'wanted' not in x]
            """,
            "secrets: the items of others among all objects": """
                import gc
                wanted = 'item-of-' + 'another'
                return [x for x in gc.get_objects() if type(x) is dict and any(type(v) is str and wanted in v for v in x.values())]
            """,
            "secrets: the frames below it": """
                frame, found = sys._getframe(), []
                while frame:
                    found += [v for v in frame.f_locals.values() if type(v) is str and 'token-of-' 'the-runner' in v]
                    frame = frame.f_back
                return found
            """,
            "secrets: the heap": """
                wanted = b'item-of-' + b'another'
                here = id(object()) & ~0xFFFFF
                view = ctypes.string_at(here, 2**18)
                return view.find(wanted) >= 0
            """,
            "secrets: its arguments": "return [x for x in sys.argv + sys.orig_argv if 'token' in x]",
            "secrets: the runner's environment": "return has_secret(open(f'/proc/{world.runner}/environ').read()) or 'read'",
            "secrets: the runner's descriptors": "return os.listdir(f'/proc/{world.runner}/fd')",
            "secrets: the zygote's descriptors": "return os.listdir(f'/proc/{os.getppid()}/fd')",
            "secrets: the zygote's maps": "return open(f'/proc/{os.getppid()}/maps').read()",
            "secrets: folders of other tasks": "return [x for x in os.listdir(os.path.dirname(world.own))]",
            "secrets: a folder of another task by its name": """
                parent, me = os.path.split(world.own)
                return [n for n in range(30) if f'task-{n}' != me and os.listdir(f'{parent}/task-{n}') is not None]
            """,
            "secrets: the clipboard of the terminal": "return open('/dev/tty').fileno()",
        },
        unproven=dict.fromkeys(
            (
                "secrets: all objects",
                "secrets: texts of all objects",
                "secrets: the items of others among all objects",
                "secrets: the frames below it",
                "secrets: the heap",
                "secrets: its arguments",
                "secrets: folders of other tasks",
                "secrets: a folder of another task by its name",
                "secrets: the clipboard of the terminal",
            ),
            "there is no pool outside of a pool",
        ),
    ),
    *table(
        {
            "starving: lists that are opened and closed": _flood("(frame(17) + frame(23)) * 20000", "send(frame(17))"),
            "starving: lists that are dropped": _flood("(frame(17) + frame(24)) * 20000", "send(frame(17))"),
            "starving: empty pieces": _flood("frame(22) * 40000", "send(frame(21))"),
            "starving: values": _flood("frame(16, b'1,' * 32000 + b'1') * 4", "send(frame(17))"),
            "starving: halves of emojis": _flood(
                "frame(16, b'\"' + b'\\\\ud800' * 10000 + b'\"') * 4", "send(frame(17))"
            ),
            "starving: brackets": _flood("frame(16, b'[' * 500 + b']' * 500) * 100", "send(frame(17))"),
            "starving: prints": _flood("frame(2, b'[' + b','.join([b'\"\"'] * 300000) + b']')"),
            "starving: empty prints": _flood("frame(2, b'[]') * 10000"),
            "starving: its output": _flood("bytes(65536)", descriptor=2),
            "starving: a byte at a time": _flood("b'x'", "os.write(3, struct.pack('!BI', 16, 60000))"),
        },
        alone=True,
        unproven="there is no runner outside of a pool, and nobody beside it",
    ),
    *table(
        {
            "starving: locks on what all may read": """
                held = [os.open(path, os.O_RDONLY) for path in (os.__file__, os.path.dirname(os.__file__))]
                for fd in held:
                    fcntl.flock(fd, fcntl.LOCK_EX)
                time.sleep(0.5)
            """,
            "starving: many small files": """
                for n in range(3000):
                    os.close(os.open(f'{world.own}/{n}', os.O_CREAT))
            """,
            "starving: deep folders": """
                os.chdir(world.own)
                for n in range(1500):
                    os.mkdir('d')
                    os.chdir('d')
            """,
            "starving: a folder that cannot be entered": "os.mkdir(world.own + '/x', 0)\nos.mkdir(world.own + '/swept-x', 0)",
            "starving: descriptors on their way": """
                line = socket.socket(fileno=os.dup(3))
                for _ in range(200):
                    socket.send_fds(line, [frame(2, b'["a"]')], [0] * 50)
            """,
            "starving: it closes its line and works on": "os.close(3)\ntime.sleep(3)",
            "starving: it never ends": "time.sleep(20)",
            "starving: it answers and works on": """
                send(frame(16, b'[]'), frame(25))
                time.sleep(20)
            """,
        },
        unproven="there is no runner outside of a pool, and nobody beside it",
    ),
]
