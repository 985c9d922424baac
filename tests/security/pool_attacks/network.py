# ruff: noqa: E501 - the code of Code nodes

"""Attacks that reach others over a network, and those that misuse one that is allowed."""

from __future__ import annotations

from tests.security.pool_attacks.attack import because, table

NETWORK = table(
    {
        "network: an address by http": """
            import urllib.request
            urllib.request.urlopen(f'http://127.0.0.1:{world.port}/', timeout=0.2).read()
        """,
        "network: http.client": """
            import http.client
            http.client.HTTPConnection('127.0.0.1', world.port, timeout=0.2).request('GET', '/')
        """,
        "network: asyncio": """
            import asyncio
            asyncio.run(asyncio.open_connection('127.0.0.1', world.port))
        """,
        "network: ftp": "import ftplib\nftplib.FTP().connect('127.0.0.1', world.port, timeout=0.2)",
        "network: smtp": "import smtplib\nsmtplib.SMTP('127.0.0.1', world.port, timeout=0.2)",
        "network: a remote log": """
            import logging.handlers
            handler = logging.handlers.SocketHandler('127.0.0.1', world.port)
            handler.createSocket()
        """,
        "network: a manager of multiprocessing": """
            from multiprocessing.connection import Client
            Client(('127.0.0.1', world.port))
        """,
        "network: a path by multiprocessing": "from multiprocessing.connection import Client\nClient(world.socket, 'AF_UNIX')",
        "network: an abstract name from a pair": """
            a, b = socket.socketpair()
            a.connect('\\0' + world.abstract)
        """,
        "network: the line of the task is reconnected": """
            line = socket.socket(fileno=os.dup(3))
            line.connect(world.socket)
        """,
        "network: the line of the task is cut and reconnected": """
            line = socket.socket(fileno=os.dup(3))
            LIBC.connect(line.fileno(), struct.pack('=H', 0) + bytes(14), 16)
            line.connect('\\0' + world.abstract)
        """,
        "network: a packet through a pair of packets": """
            a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            return 'made'
        """,
        "network: a socket of the C library": """
            fd = LIBC.socket(2, 1, 0)
            address = struct.pack('=H', 2) + struct.pack('!H4s8x', world.port, bytes((127, 0, 0, 1)))
            return LIBC.connect(fd, address, 16) == 0
        """,
        "network: a fast open": """
            s = socket.socket()
            return s.sendto(b'x', 0x20000000, ('127.0.0.1', world.port))
        """,
        "network: multipath": "socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262).connect(('127.0.0.1', world.port))",
        "network: with high bits": """
            fd = raw({'x86_64': 41, 'aarch64': 198}[os.uname().machine], 2 | 1 << 32, 1 | 1 << 32, 0)
            return socket.socket(fileno=fd).connect_ex(('127.0.0.1', world.port)) == 0
        """,
        "network: between machines of a host": "return socket.socket(40, socket.SOCK_STREAM).fileno()",
        "network: bluetooth": "return socket.socket(31, socket.SOCK_RAW, 1).fileno()",
        "network: the kernel's events": "return socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 15).fileno()",
        "network: the kernel's control": "return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16).fileno()",
        "network: names of hosts": "return socket.gethostbyname('localhost')",
        "network: addresses of this machine": "return [name for _, name in socket.if_nameindex()]",
        "network: a webbrowser": "import webbrowser\nreturn webbrowser.open('http://127.0.0.1/') and 'opened'",
        "network: a server": """
            import socketserver
            with socketserver.TCPServer(('127.0.0.1', 0), None) as server:
                return server.server_address
        """,
        "network: a pipe with a name for others": "os.mkfifo(world.outside + '/left')",
        "network: a socket with a name for others": """
            s = socket.socket(socket.AF_UNIX)
            s.bind(world.outside + '/left')
        """,
        "network: a socket in its own folder": """
            s = socket.socket(socket.AF_UNIX)
            s.bind(world.own + '/s')
            return 'bound'
        """,
    },
    unproven={
        **because(
            "not every machine has it",
            (
                "network: between machines of a host",
                "network: bluetooth",
                "network: multipath",
                "network: a fast open",
                "network: a webbrowser",
            ),
        ),
        **because(
            "there is no line outside of a pool",
            ("network: the line of the task is reconnected", "network: the line of the task is cut and reconnected"),
        ),
        "network: an abstract name from a pair": "a socket that has a peer takes no other",
    },
)

LINGERING = """
    with socket.create_connection(('127.0.0.1', world.open_port)) as s:
        s.setblocking(False)
        try:
            while True:
                s.send(bytes(65536))
        except BlockingIOError:
            pass
        s.setblocking(True)
        {option}
        line = socket.socket(fileno=os.dup(3))
        for _ in range(100):  # so that the last to close it is the runner, not this
            socket.send_fds(line, [frame(2, b'["a"]')], [s.fileno()])
    time.sleep(0.5)
"""
"""A connection that nobody reads from is sent to the runner, which has to close it."""

WITH_THE_NETWORK = table(
    {
        "network: a connection that lingers is given to the runner": LINGERING.format(
            option="s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 3))"
        ),
        "network: connections are given to the runner": """
            line = socket.socket(fileno=os.dup(3))
            for _ in range(20):
                held = [socket.socket() for _ in range(20)]
                socket.send_fds(line, [frame(2, b'["a"]')], [s.fileno() for s in held])
        """,
        "network: a path": "s = socket.socket(socket.AF_UNIX)\ns.connect(world.socket)",
        "network: an abstract name": "s = socket.socket(socket.AF_UNIX)\ns.connect('\\0' + world.abstract)",
        "network: a datagram to a path": """
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'x', world.datagrams)
        """,
        "network: it listens": """
            s = socket.socket()
            s.listen()
            return s.getsockname()
        """,
        "network: it takes a port": """
            s = socket.socket()
            s.bind(('127.0.0.1', 0))
            return s.getsockname()
        """,
        "network: raw packets": "return socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).fileno()",
        "network: pings": "return socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 1).fileno()",
        "network: a program in a socket of the network": """
            program = ctypes.create_string_buffer(struct.pack('=HBBI', 6, 0, 0, 0))
            socket.socket().setsockopt(socket.SOL_SOCKET, 26, struct.pack('@HP', 1, ctypes.addressof(program)))
            return 'attached'
        """,
        "network: the files of the machine are still closed": "return has_secret(open(world.canary).read())",
        "network: processes are still refused": "return os.posix_spawn('/bin/true', ['true'], {})",
    },
    unproven="these are about what is left where the network is allowed",
    alone=True,
)
