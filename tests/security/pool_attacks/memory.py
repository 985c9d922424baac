"""Attacks that take more than the share of a task. The limits are those of the test: 128 MiB, 1 s, 64 files, 16 MiB."""

from __future__ import annotations

from tests.security.pool_attacks.attack import table

MEMORY = table(
    {
        "memory: the device of zeros, shared": """
            m = mmap.mmap(os.open('/dev/zero', os.O_RDONLY), 300 * 2**20, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
            sum(m[i] for i in range(0, len(m), 4096))
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 250 * 1024
        """,
        "memory: written over a private mapping of a file": """
            open(world.own + '/f', 'wb').truncate(10 * 2**20)
            held = []
            for _ in range(40):
                m = mmap.mmap(os.open(world.own + '/f', os.O_RDONLY), 10 * 2**20, flags=mmap.MAP_PRIVATE, prot=3)
                m[::4096] = b'x' * (len(m) // 4096)
                held.append(m)
                os.close(os.dup(0))
            return 'took it'
        """,
        "memory: read-only, then writable": """
            LIBC.mmap.restype = ctypes.c_void_p
            size = 300 * 2**20
            where = LIBC.mmap(None, ctypes.c_size_t(size), 1, 0x22, -1, ctypes.c_long(0))
            if LIBC.mprotect(ctypes.c_void_p(where), ctypes.c_size_t(size), 3) == 0:
                ctypes.memset(where, 1, size)
                return 'took it'
        """,
        "memory: by the end of the heap": """
            LIBC.sbrk.restype = ctypes.c_void_p
            return LIBC.sbrk(ctypes.c_long(300 * 2**20)) != ctypes.c_void_p(-1).value
        """,
        "memory: a mapping that grows": """
            m = mmap.mmap(-1, 2**20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            m.resize(300 * 2**20)
            return len(m)
        """,
        "memory: the stack": """
            resource.setrlimit(resource.RLIMIT_STACK, (300 * 2**20, 300 * 2**20))
            return 'raised'
        """,
        "memory: stacks of threads": """
            threading.stack_size(64 * 2**20)
            held = [threading.Thread(target=time.sleep, args=(0.2,)) for _ in range(6)]
            for each in held:
                each.start()
            return 'took it'
        """,
        "memory: huge pages": "return len(mmap.mmap(-1, 300 * 2**20, flags=0x22 | 0x40000))",
        "memory: secret memory": "return raw(447, 0)",
        "memory: memory in a file that was removed": """
            fd = os.open(world.own, os.O_TMPFILE | os.O_RDWR)
            os.ftruncate(fd, 300 * 2**20)
            return os.fstat(fd).st_size
        """,
        "memory: allocated in a file": """
            fd = os.open(world.own + '/f', os.O_CREAT | os.O_RDWR)
            os.posix_fallocate(fd, 0, 20 * 2**20)
            return os.fstat(fd).st_size
        """,
        "memory: written behind the end of a file": """
            fd = os.open(world.own + '/f', os.O_CREAT | os.O_RDWR)
            os.pwrite(fd, b'x', 100 * 2**20)
            return os.fstat(fd).st_size
        """,
        "memory: locked": "LIBC.mlockall(3) == 0 or 1 / 0\nreturn len(bytearray(2**22))",
        "memory: buffers of pipes": """
            import errno
            taken, held = 0, []
            try:
                while taken < 40 * 2**20:
                    ends = os.pipe()
                    held.append(ends)
                    os.set_blocking(ends[1], False)
                    try:
                        while True:
                            taken += os.write(ends[1], bytes(65536))
                    except BlockingIOError:
                        pass
            except OSError:
                return
            return taken
        """,
        "memory: buffers of sockets on their way": """
            taken, last = 0, None
            def fill(s):
                s.setblocking(False)
                total = 0
                try:
                    while True:
                        total += s.send(bytes(65536))
                except BlockingIOError:
                    return total
            try:
                while taken < 100 * 2**20:
                    a, b = socket.socketpair()
                    if last is not None:
                        socket.send_fds(a, [b'x'], [last.fileno()])
                        last.close()
                    taken += fill(b) + fill(a)
                    a.close()
                    last = b
            except OSError:
                return
            return taken
        """,
        "memory: what zlib unpacks": """
            import zlib
            packer = zlib.compressobj()
            packed = b''.join([packer.compress(bytes(2**20)) for _ in range(200)]) + packer.flush()
            return len(zlib.decompress(packed))
        """,
        "memory: numbers without end": "x = 1 << 300 * 2**23\nreturn x.bit_length()",
        "memory: texts without end": "return len('%300000000d' % 1)",
        "memory: objects": "return len([[] for _ in range(3_000_000)])",
        "memory: a result larger than the task": """
            send(frame(17))
            part = b'"' + b'x' * 60000 + b'"'
            for _ in range(7000):
                send(frame(16, part))
            return 'sent'
        """,
        "memory: a message of four gigabytes": """
            os.write(3, struct.pack('!BI', 16, 2**32 - 1))
            for _ in range(300):
                os.write(3, bytes(2**20))
            return 'sent'
        """,
        "time: limits are raised": """
            resource.setrlimit(resource.RLIMIT_CPU, (10, 10))
            return 'raised'
        """,
        "time: threads share the work": """
            import hashlib
            def work():
                while True:
                    hashlib.sha256(bytes(2**20)).digest()
            for _ in range(4):
                threading.Thread(target=work, daemon=True).start()
            while time.process_time() < 2.5:
                time.sleep(0.01)
            return 'worked'
        """,
        "time: the warning is caught": """
            signal.signal(signal.SIGXCPU, lambda *_: None)
            while time.process_time() < 2.5:
                pass
            return 'worked'
        """,
        "files: many at once": """
            held = []
            for _ in range(200):
                held += os.pipe()
            return len(held)
        """,
        "files: duplicates at high numbers": "return os.dup2(0, 5000)",
        "threads: more than there may be": """
            threading.stack_size(32768)
            held = [threading.Thread(target=time.sleep, args=(0.3,)) for _ in range(200)]
            for each in held:
                each.start()
            return len(held)
        """,
        "time: a better rank": """
            before = os.getpriority(os.PRIO_PROCESS, 0)
            os.setpriority(os.PRIO_PROCESS, 0, before - 5)
            return os.getpriority(os.PRIO_PROCESS, 0) < before
        """,
        "time: real time": "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))\nreturn 'first'",
        "time: a deadline of its own": """
            number = {'x86_64': 314, 'aarch64': 274}[os.uname().machine]
            return raw(number, 0, struct.pack('=IIQiIQQQ', 48, 6, 0, 0, 0, 10**6, 10**7, 10**7), 0) == 0
        """,
        "memory: it is not the first to be killed": """
            open('/proc/self/oom_score_adj', 'w').write('-500')
            return 'spared'
        """,
    },
    unproven={
        "memory: the device of zeros, shared": "the kernel makes it private, as the file is open for reading alone",
        "memory: a result larger than the task": "there is no runner outside of a pool to be sent it",
        "memory: a message of four gigabytes": "there is no runner outside of a pool to be sent it",
        "memory: huge pages": "machines have none unless they are told to",
        "memory: secret memory": "it has to be switched on",
        "memory: locked": "what it shows depends on the machine's own limits",
        "memory: buffers of sockets on their way": "it depends on the machine's limit of open files",
        "memory: buffers of pipes": "the machine has a limit for each user",
        "time: a better rank": "where the tests have the best rank already, there is none better",
        "time: real time": "containers may not have it",
        "time: a deadline of its own": "containers may not have it",
        "memory: by the end of the heap": "addresses may be in the way",
    },
)
