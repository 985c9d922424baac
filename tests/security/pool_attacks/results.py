# ruff: noqa: E501 - the code of Code nodes

"""Attacks on what goes to n8n and into the log: results that are more than a result, errors and lines that are forged."""

from __future__ import annotations

from tests.security.pool_attacks.attack import table


def _sends(*frames: str) -> str:
    return f"send({', '.join(frames)})\ntime.sleep(0.3)"


LIST, OBJECT, TEXT, CLOSE, END = "frame(17)", "frame(18)", "frame(21)", "frame(23)", "frame(25)"

RESULTS = table(
    {
        "results: a second member behind a value": _sends("frame(16, b'[],\"injected\":1')", END),
        "results: the end of the message in a value": _sends('frame(16, b\'[]},"injected":{"a":1\')', END),
        "results: the end of the list in values": _sends(LIST, "frame(16, b'1],\"injected\":[1')", CLOSE, END),
        "results: the end of the object in members": _sends(
            OBJECT, 'frame(19 + 1, b\'"a":1},"injected":{"a":1\')', CLOSE, END
        ),
        "results: the end of a string in a piece": _sends(TEXT, 'frame(22, b\'x","injected":"x\')', CLOSE, END),
        "results: half an escape in a piece": _sends(TEXT, "frame(22, b'x\\\\')", CLOSE, END),
        "results: half an escape in two pieces": _sends(TEXT, "frame(22, b'x\\\\u00')", "frame(22, b'22')", CLOSE, END),
        "results: half a character in two pieces": _sends(
            TEXT, "frame(22, b'\\xc3')", "frame(22, b'\\xa4')", CLOSE, END
        ),
        "results: a key that is none": _sends(OBJECT, "frame(19, b'1')", "frame(16, b'1')", CLOSE, END),
        "results: a key with more": _sends(OBJECT, 'frame(19, b\'"a":1,"injected"\')', "frame(16, b'1')", CLOSE, END),
        "results: spaces only": _sends(LIST, "frame(16, b' ')", "frame(16, b'1')", CLOSE, END),
        "results: a trailing comma": _sends(LIST, "frame(16, b'1,')", CLOSE, END),
        "results: numbers that are none": _sends("frame(16, b'[NaN, Infinity, -Infinity]')", END),
        "results: a comment": _sends("frame(16, b'[1 /* x */]')", END),
        "results: a mark of order": _sends("frame(16, b'\\xef\\xbb\\xbf[]')", END),
        "results: bytes that are no text": _sends("frame(16, b'[\"\\xff\\xfe\"]')", END),
        "results: overlong text": _sends("frame(16, b'[\"\\xc0\\xa2,1\"]')", END),
        "results: halves of emojis as bytes": _sends("frame(16, b'[\"\\xed\\xa0\\x80\"]')", END),
        "results: control characters in a string": _sends("frame(16, b'[\"\\x00\\n\\x1b\"]')", END),
        "results: a line break in a number": _sends("frame(16, b'1\\n2')", END),
        "results: two values": _sends("frame(16, b'[]')", "frame(16, b'[]')", END),
        "results: nothing": _sends(END),
        "results: not closed": _sends(LIST, "frame(16, b'1')", END),
        "results: closed too often": _sends(LIST, CLOSE, CLOSE, END),
        "results: dropped at the start": _sends("frame(24)", END),
        "results: nested beyond all limits": _sends("*[frame(17)] * 5000", "*[frame(23)] * 5000", END),
        "results: nested in values": _sends(LIST, "frame(16, b'[' * 30000 + b']' * 30000)", CLOSE, END),
        "results: nested in both": _sends(
            "*[frame(17)] * 900", "frame(16, b'[' * 500 + b']' * 500)", "*[frame(23)] * 900", END
        ),
        "results: a digit for each byte": _sends("frame(16, b'[' + b'9' * 60000 + b']')", END),
        "results: exponents beyond all limits": _sends("frame(16, b'[1e999999, -1e999999]')", END),
        "results: unknown parts": _sends("frame(99, b'x')", END),
        "results: the runner's own words": _sends("frame(83, b'x')", "frame(82, bytes(4))", "frame(65)", END),
        "results: an error that is none": _sends('frame(4, b\'{"message": {"a": 1}}\')'),
        "results: an error with more": _sends(
            'frame(4, b\'{"message": "x", "taskId": "injected", "type": "broker:x"}\')'
        ),
        "results: an error with a line of its own kind": _sends('frame(4, b\'{"message": "x", "line": 1e308}\')'),
        "results: a print that is none": _sends('frame(2, b\'["a"],"injected":[1]\')', "frame(16, b'[]')", END),
        "results: a print of objects": _sends("frame(2, b'[{\"a\": 1}]')", "frame(16, b'[]')", END),
        "results: a print behind the end": _sends("frame(16, b'[]')", END, "frame(2, b'[\"injected\"]')"),
        "results: two results": _sends("frame(16, b'[]')", END, "frame(16, b'[{\"injected\": 1}]')", END),
        "results: from another thread while it returns": """
            def late():
                while True:
                    try:
                        send(frame(16, b'[],"injected":1'))
                    except OSError:
                        return
            threading.Thread(target=late, daemon=True).start()
            time.sleep(0.05)
        """,
        "results: from below": """
            class Evil(dict):
                def __iter__(self):
                    send(frame(16, b'1],"injected":[1'))
                    return super().__iter__()
            return Evil(a=1) and None
        """,
        "results: the writer's own line": """
            import gc
            for each in gc.get_objects():
                if type(each).__name__ == 'Line' and hasattr(each, '_descriptor'):
                    each.send(16, b'[],"injected":1')
        """,
        "results: an encoder that lies": """
            import json, json.encoder
            json.encoder.encode_basestring_ascii = json.encoder.c_make_encoder = lambda *a, **k: '"},"injected":{"a":"'
            json.dumps = json.JSONEncoder.encode = json.JSONEncoder.iterencode = lambda *a, **k: '[],"injected":1'
        """,
        "results: the line is another one": """
            a, b = socket.socketpair()
            os.dup2(a.fileno(), 3)
            b.sendall(bytes(100))
        """,
        "results: the line is a file": """
            fd = os.open(world.own + '/x', os.O_RDWR | os.O_CREAT)
            os.dup2(fd, 3)
        """,
        "results: shut down": "socket.socket(fileno=os.dup(3)).shutdown(socket.SHUT_RDWR)",
        "results: an exit that means something else": "os._exit(70)",
        "results: an exit without a result": "os._exit(0)",
    },
    unproven="there is no line to a runner outside of a pool",
)
"""Under the first three configurations these are refused before they run, or have no `os`; the kernel lets them."""
