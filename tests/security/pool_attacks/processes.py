"""Attacks that start processes or end those of others, and on what ties a task to its pool."""

from __future__ import annotations

from tests.security.pool_attacks.attack import table

MACHINE_CODE = """
if os.uname().machine != 'x86_64':
    return
memory = mmap.mmap(-1, 4096, prot=7)
memory.write(bytes.fromhex('{code}'))
function = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))
return function() > 0
"""
"""Runs code that forks, of which the child exits at once."""

PROCESSES = table(
    {
        "processes: multiprocessing by fork": """
            import multiprocessing
            queue = multiprocessing.get_context('fork').SimpleQueue()
            process = multiprocessing.get_context('fork').Process(target=queue.put, args=('ran',))
            process.start()
            process.join()
            return queue.get()
        """,
        "processes: multiprocessing by a server": """
            import multiprocessing
            process = multiprocessing.get_context('spawn').Process(target=print)
            process.start()
            process.join()
            return process.exitcode is not None
        """,
        "processes: a pool of futures": """
            from concurrent.futures import ProcessPoolExecutor
            import multiprocessing
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context('fork')) as pool:
                return pool.submit(os.getpid).result()
        """,
        "processes: asyncio starts a program": """
            import asyncio
            async def run():
                process = await asyncio.create_subprocess_exec('/bin/echo', 'ran', stdout=-1)
                return (await process.communicate())[0]
            return asyncio.run(run())
        """,
        "processes: a shell by popen": "return os.popen('echo ran').read()",
        "processes: a terminal": """
            import pty
            pid, fd = pty.fork()
            if pid == 0:
                os._exit(0)
            os.waitpid(pid, 0)
            return 'forked'
        """,
        "processes: a terminal that is opened": "return [os.ttyname(end) for end in os.openpty()]",
        "processes: the library's own fork": """
            pid = LIBC.fork()
            if pid == 0:
                os._exit(0)
            if pid > 0:
                os.waitpid(pid, 0)
            return pid > 0
        """,
        "processes: a program by system of the C library": "return LIBC.system(b'exit 3') == 3 << 8",
        "processes: posix_spawn of the C library": """
            pid = ctypes.c_int()
            arguments = (ctypes.c_char_p * 2)(b'true', None)
            code = LIBC.posix_spawn(ctypes.byref(pid), b'/bin/true', None, None, arguments, None)
            if code == 0:
                os.waitpid(pid.value, 0)
            return code == 0
        """,
        "processes: the interpreter by its loader": """
            loader = next(p for p in ('/lib64/ld-linux-x86-64.so.2', '/lib/ld-linux-aarch64.so.1') if os.path.exists(p))
            import subprocess
            return subprocess.check_output([loader, '/bin/echo', 'ran'])
        """,
        "processes: a program in memory": """
            fd = os.memfd_create('x')
            os.write(fd, Path('/bin/true').read_bytes())
            import subprocess
            return subprocess.call([f'/proc/self/fd/{fd}'], pass_fds=(fd,)) == 0
        """,
        "processes: a program of its own": """
            import subprocess
            path = world.own + '/x'
            open(path, 'w').write('#!/bin/sh\\necho ran')
            os.chmod(path, 0o755)
            return subprocess.check_output([path])
        """,
        "processes: the calls of another architecture": MACHINE_CODE.format(
            code="b802000000cd8085c07509b80100000031dbcd80c3"
        ),
        "processes: machine code forks": MACHINE_CODE.format(code="b8390000000f0585c07509b83c00000031ff0f05c3"),
        "processes: a thread makes one": """
            found = []
            def run():
                if os.fork() == 0:
                    os._exit(0)
                found.append('forked')
            thread = threading.Thread(target=run)
            thread.start()
            thread.join()
            return found
        """,
        "processes: a signal handler makes one": """
            found = []
            def handler(*_):
                if os.fork() == 0:
                    os._exit(0)
                found.append('forked')
            signal.signal(signal.SIGUSR1, handler)
            signal.raise_signal(signal.SIGUSR1)
            return found
        """,
        "processes: a neighbour is killed by a thread": """
            error = []
            thread = threading.Thread(target=lambda: os.kill(world.neighbour, 9))
            thread.start()
            thread.join()
        """,
        "processes: a neighbour is killed by a timer": """
            event = struct.pack('=PiiI', 0, 9, 4, world.neighbour) + bytes(48)
            timer = ctypes.c_int()
            number = {'x86_64': (222, 223), 'aarch64': (107, 110)}[os.uname().machine]
            if LIBC.syscall(number[0], 1, event, ctypes.byref(timer)) == 0:
                LIBC.syscall(number[1], timer, 0, struct.pack('=4q', 0, 0, 0, 1000), 0)
                time.sleep(0.1)
                return 'armed'
        """,
        "processes: a neighbour is killed by its group": "os.killpg(os.getpgid(world.neighbour), 0)\nreturn 'could'",
        "processes: all of its group are killed": "os.kill(0, 0)\nreturn 'could'",
        "processes: the runner is told to stop": "os.kill(world.runner, 0)\nreturn 'could'",
        "processes: the zygote is told to stop": "os.kill(os.getppid(), 0)\nreturn 'could'",
        "processes: the zygote is stopped by a queue": """
            number = {'x86_64': 129, 'aarch64': 138}[os.uname().machine]
            return raw(number, os.getppid(), 0, struct.pack('=iii', 0, 0, -1) + bytes(128)) == 0
        """,
        "processes: the zygote is read": "return open(f'/proc/{os.getppid()}/mem', 'rb').fileno()",
        "processes: the zygote is traced": """
            number = {'x86_64': 101, 'aarch64': 117}[os.uname().machine]
            return raw(number, 16, os.getppid(), 0, 0) == 0 and raw(number, 17, os.getppid(), 0, 0) == 0
        """,
        "processes: it is traced by its parent": """
            number = {'x86_64': 101, 'aarch64': 117}[os.uname().machine]
            return raw(number, 0, 0, 0, 0) == 0
        """,
        "processes: it cannot be ended": """
            for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
                try:
                    signal.signal(number, signal.SIG_IGN)
                except (OSError, ValueError):
                    pass
            os.closerange(3, 10)
            time.sleep(1.5)
            open(world.outside + '/left', 'w').close()
        """,
        "processes: it stops itself": """
            os.kill(os.getpid(), signal.SIGSTOP)
        """,
        "processes: threads live on": """
            def late():
                time.sleep(0.4)
                open(world.canary, 'w').write('late')
            threading.Thread(target=late).start()
        """,
        "processes: something is left for its exit": """
            import atexit
            atexit.register(lambda: open(world.outside + '/left', 'w').close())
        """,
        "processes: a finaliser runs at its exit": """
            class Late:
                def __del__(self):
                    open(world.outside + '/left', 'w').close()
            sys.modules['late'] = Late()
            if world.again:
                sys.modules.pop('late')
        """,
    },
    unproven={
        "processes: the calls of another architecture": "kernels are built without them, or without the other ones",
        "processes: it stops itself": "it would have to be ended from outside",
        "processes: a neighbour is killed by a timer": "the kernel takes threads of the same process alone",
        "processes: a finaliser runs at its exit": "only modules' own values are finalised surely",
        "processes: it is traced by its parent": "the parent would have to wait for it in a certain way",
        "processes: a terminal that is opened": "containers may have none",
        "processes: the zygote is traced": "the parent of an interpreter that is started anew is the test",
    },
)
