# ruff: noqa: E501 - the code of Code nodes

"""Attacks on files: to read the canary or write to it, or to leave something behind."""

from __future__ import annotations

from tests.security.pool_attacks.attack import table

FILES = table(
    {
        "files: sqlite attaches the canary": """
            import sqlite3
            db = sqlite3.connect(':memory:')
            db.execute('attach ? as c', (world.canary + '.db',))
            db.execute('create table c.t (a)')
            db.commit()
        """,
        "files: sqlite writes itself out": """
            import sqlite3
            db = sqlite3.connect(':memory:')
            db.execute('create table t (a)')
            db.execute('vacuum into ?', (f'{world.outside}/left',))
        """,
        "files: a loader reads the canary": """
            import importlib.machinery
            return has_secret(importlib.machinery.SourceFileLoader('x', world.canary).get_data(world.canary))
        """,
        "files: a loader runs the canary": """
            import importlib.util
            open(world.own + '/evil.py', 'w').write(f'loot = open({world.canary!r}).read()')
            spec = importlib.util.spec_from_file_location('evil', world.own + '/evil.py')
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return has_secret(module.loot)
        """,
        "files: linecache reads the canary": "import linecache\nreturn has_secret(''.join(linecache.getlines(world.canary)))",
        "files: fileinput reads the canary": "import fileinput\nreturn has_secret(''.join(fileinput.input([world.canary])))",
        "files: urllib reads a file address": """
            import urllib.request
            return has_secret(urllib.request.urlopen('file://' + world.canary).read())
        """,
        "files: runpy runs the canary": """
            import runpy
            try:
                runpy.run_path(world.canary)
            except (NameError, SyntaxError) as error:
                return has_secret(repr(error)) or str(error).startswith('name ')
        """,
        "files: tar takes the canary": """
            import io, tarfile
            buffer = io.BytesIO()
            with tarfile.open(fileobj=buffer, mode='w') as tar:
                tar.add(world.canary, 'x')
            return has_secret(buffer.getvalue())
        """,
        "files: tar extracts through a link": """
            import io, tarfile
            buffer = io.BytesIO()
            with tarfile.open(fileobj=buffer, mode='w') as tar:
                link = tarfile.TarInfo('d')
                link.type, link.linkname = tarfile.SYMTYPE, world.outside
                tar.addfile(link)
                tar.addfile(tarfile.TarInfo('d/left'), io.BytesIO())
            buffer.seek(0)
            tarfile.open(fileobj=buffer).extractall(world.own)
        """,
        "files: zip extracts upwards": """
            import zipfile
            path = world.own + '/z.zip'
            with zipfile.ZipFile(path, 'w') as z:
                z.writestr('left', b'x')
            zipfile.ZipFile(path).extractall(world.outside)
        """,
        "files: shutil copies the canary in": """
            import shutil
            shutil.copyfile(world.canary, world.own + '/copy')
            return has_secret(open(world.own + '/copy').read())
        """,
        "files: sendfile copies the canary in": """
            a, b = socket.socketpair()
            with open(world.canary, 'rb') as file:
                os.sendfile(a.fileno(), file.fileno(), 0, 100)
            return has_secret(b.recv(100))
        """,
        "files: copy_file_range copies the canary in": """
            out = os.open(world.own + '/copy', os.O_RDWR | os.O_CREAT)
            os.copy_file_range(os.open(world.canary, os.O_RDONLY), out, 100)
            return has_secret(os.pread(out, 100, 0))
        """,
        "files: the canary is mapped": """
            with open(world.canary, 'rb') as file:
                return has_secret(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)[:])
        """,
        "files: the canary is mapped by a library that loads it": """
            try:
                ctypes.CDLL(world.canary)
            except OSError as error:
                return 'file too short' in str(error) or 'invalid ELF' in str(error)
        """,
        "files: openat2 resolves in another root": """
            how = struct.pack('=QQQ', os.O_RDONLY, 0, 0x10)
            folder = os.open(world.outside, os.O_PATH)
            return has_secret(os.read(raw(437, folder, b'canary', how, len(how)), 100))
        """,
        "files: a path of many dots": """
            path = world.own + '/..' * 40 + world.canary
            return has_secret(open(path).read())
        """,
        "files: the working folder of the zygote": "return has_secret(open('.' + world.canary).read())",
        "files: a link that is swapped while it is looked at": """
            link, other = world.own + '/link', world.own + '/other'
            stop = []
            def swap():
                while not stop:
                    for target in (world.own + '/mine', world.canary):
                        os.symlink(target, other)
                        os.rename(other, link)
            open(world.own + '/mine', 'w').write('mine')
            os.symlink('mine', link)
            thread = threading.Thread(target=swap, daemon=True)
            thread.start()
            found = False
            until = time.monotonic() + 0.3
            while time.monotonic() < until and not found:
                try:
                    found = has_secret(open(link).read())
                except OSError:
                    pass
            stop.append(1)
            thread.join()
            return found
        """,
        "files: its folder is moved away": "os.rename(world.own, world.outside + '/left')",
        "files: its folder is removed": "os.rmdir(world.own)\nreturn 'removed'",
        "files: a folder is left for the next task": """
            os.mkdir(os.path.dirname(world.own) + '/task-9999')
            return 'made'
        """,
        "files: a module is left among the packages": """
            import sysconfig
            path = sysconfig.get_paths()['purelib'] + '/n8n_runner_test_left.py'
            with open(path, 'w') as file:
                file.write('')
            os.unlink(path)
            return 'left'
        """,
        "files: compiled code is left among the packages": """
            import importlib.util, py_compile
            target = importlib.util.cache_from_source(os.__file__) + '.left'
            py_compile.compile(os.__file__, cfile=target, doraise=True)
            os.unlink(target)
            return 'left'
        """,
        "files: logging writes outside": """
            import logging
            logging.basicConfig(filename=world.outside + '/left')
            logging.error('x')
        """,
        "files: a temporary file lies elsewhere": """
            import tempfile
            with tempfile.NamedTemporaryFile(dir=world.outside, delete=False) as file:
                return file.name
        """,
        "files: shared memory by name": """
            from multiprocessing import shared_memory
            block = shared_memory.SharedMemory(create=True, size=10, track=False) if sys.version_info >= (3, 13) else \\
                shared_memory.SharedMemory(create=True, size=10)
            block.close()
            block.unlink()
            return 'left'
        """,
        "files: the canary becomes a folder that is mounted": """
            raw({'x86_64': 165, 'aarch64': 40}[os.uname().machine], world.outside.encode(), world.own.encode(), b'', 0x1000, 0)
            found = has_secret(open(world.own + '/canary').read())
            LIBC.umount2(world.own.encode(), 2)
            return found
        """,
        "files: an executable is left with the rights of its owner": """
            path = world.own + '/x'
            open(path, 'w').close()
            os.chmod(path, 0o4755)
            return os.stat(path).st_mode & 0o4000
        """,
        "files: times are set back": """
            path = world.own + '/x'
            open(path, 'w').close()
            before = os.stat(world.own).st_mtime_ns
            os.utime(world.own, ns=(1, 1))
            return os.stat(world.own).st_mtime_ns == 1
        """,
        "files: configuration of the machine": "return open('/etc/hostname').read() + open('/etc/passwd').read()",
        "files: secrets of a container": """
            return [name for name in ('/root', '/home', '/run', '/var/run', '/var/lib') if os.listdir(name)]
        """,
        "files: descriptors that were left open": """
            found = []
            for number in range(4, 64):
                try:
                    os.fstat(number)
                    found.append(number)
                except OSError:
                    pass
            return found
        """,
        "files: the links of its descriptors": "return os.listdir('/proc/self/fd')",
        "files: dbm writes outside": "import dbm.dumb\nwith dbm.dumb.open(world.outside + '/left', 'c') as d:\n    d['a'] = 'b'",
        "files: ctypes opens by itself": "fd = LIBC.open(world.canary.encode(), 0)\nreturn has_secret(os.read(fd, 100))",
        "files: fopen of the C library": """
            LIBC.fopen.restype = ctypes.c_void_p
            file = LIBC.fopen(world.canary.encode(), b'r')
            buffer = ctypes.create_string_buffer(100)
            return bool(file) and LIBC.fread(buffer, 1, 99, ctypes.c_void_p(file)) and has_secret(buffer.value)
        """,
    },
    unproven={
        "files: descriptors that were left open": "an interpreter that is started anew has none",
        "files: the canary becomes a folder that is mounted": "few machines let their root mount",
    },
)
