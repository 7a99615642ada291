"""Starts and outlives the tasks of one Python environment. Stand-alone: it must not import lacewing.

It runs with the environment's own Python: `python forkserver.py SOCKET`. It imports flytekit once and forks a
child for each task, so that a task starts in milliseconds. It stays single-threaded, writes each exit to disk
before it tells anyone, and goes on when its client dies: one that comes back finds what ran and what ended.

Requests are JSON lines on the socket:
    {"op": "run", "id", "argv", "env", "cwd", "log", "exit", "cache"}   {"op": "kill", "id", "signal"}
    {"op": "list"}                                                       {"op": "stop"}
Answers go to every client: {"event": "started" | "exited" | "running", "id", ...}.
"""

import contextlib
import ctypes
import gc
import hashlib
import json
import os
import random
import select
import shutil
import signal
import socket
import sys
import tarfile
import tempfile
import time
import traceback

MARKER = "LACEWING_POD"
IDLE_SECONDS = 10.0
_ENTRY_POINTS = {
    "pyflyte-execute": "execute_task_cmd",
    "pyflyte-map-execute": "map_execute_task_cmd",
}
_PR_SET_CHILD_SUBREAPER = 36


def main(address):
    """Go into the background; exit 0 once the server there takes work, 1 if it fails."""
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        os._exit(0 if os.read(reader, 1) else 1)
    os.close(reader)
    os.setsid()
    _serve(address, writer)


def _serve(address, ready):
    """Serve until nobody is connected and nothing runs."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    temporary = f"{address}.{os.getpid()}"
    listener.bind(temporary)
    listener.listen(16)
    warm = _preload()
    os.rename(temporary, address)
    os.write(ready, b"1")
    os.close(ready)
    gc.collect()
    gc.freeze()
    _Server(listener, address, warm).serve()


def _preload():
    """Import what tasks need. Without flytekit every command starts as a new program."""
    try:
        import flytekit.bin.entrypoint
        import flytekit.core.python_auto_container
        from docstring_parser import parse

        parse("Warm its patterns.\n\n:param a: one")
        return flytekit.bin.entrypoint
    except ImportError:
        return None


class _Server:
    def __init__(self, listener, address, entrypoint):
        self.listener, self.address, self.entrypoint = listener, address, entrypoint
        self.clients = {}
        self.children = {}
        self.pids = {}
        self.stopping = False
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.wakeup, self.wakeup_writer = reader, writer

    def serve(self):
        idle_since = time.monotonic()
        while True:
            ready, _, _ = select.select([self.listener, self.wakeup, *self.clients], [], [], 2.0)
            for source in ready:
                if source is self.listener:
                    client, _ = self.listener.accept()
                    self.clients[client] = b""
                elif source == self.wakeup:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self.wakeup, 4096)
                else:
                    self.read(source)
            self.reap()
            if self.clients or self.children:
                idle_since = time.monotonic()
            done = self.stopping and not self.children
            if done or time.monotonic() - idle_since > IDLE_SECONDS:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self.address)
                return

    def read(self, client):
        try:
            data = client.recv(1 << 16)
        except OSError:
            data = b""
        if not data:
            del self.clients[client]
            client.close()
            return
        *lines, self.clients[client] = (self.clients[client] + data).split(b"\n")
        for line in lines:
            self.obey(json.loads(line))

    def obey(self, request):
        if request["op"] == "run":
            self.run(request)
        elif request["op"] == "kill":
            self.kill(request["id"], request["signal"])
        elif request["op"] == "list":
            self.tell({"event": "running", "ids": sorted(self.pids)})
        elif request["op"] == "stop":
            self.stopping = True
            for name in list(self.pids):
                self.kill(name, signal.SIGKILL)

    def tell(self, message):
        line = json.dumps(message).encode() + b"\n"
        for client in list(self.clients):
            try:
                client.sendall(line)
            except OSError:
                del self.clients[client]
                client.close()

    def run(self, request):
        if request["id"] in self.pids:
            return
        started = time.time()
        pid = os.fork()
        if pid == 0:
            self.become(request)
        self.children[pid] = (request["id"], request["exit"], started)
        self.pids[request["id"]] = pid
        self.tell({"event": "started", "id": request["id"], "pid": pid, "at": started})

    def become(self, request):
        """Turn the forked child into the task. Never returns."""
        code = 1
        try:
            os.setsid()
            for descriptor in [self.listener, *self.clients]:
                descriptor.close()
            signal.set_wakeup_fd(-1)
            os.close(self.wakeup)
            os.close(self.wakeup_writer)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _prepare(request)
            code = _execute(self.entrypoint, request)
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(BaseException):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def kill(self, name, number):
        pid = self.pids.get(name)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, number)

    def reap(self):
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self.children:
                self.ended(pid, status)

    def ended(self, pid, status):
        name, path, started = self.children.pop(pid)
        self.pids.pop(name, None)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        _kill_strays(name)
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        code = 128 + number if number else os.WEXITSTATUS(status)
        record = {"code": code, "signal": number, "started": started, "finished": time.time()}
        with contextlib.suppress(OSError):
            with open(f"{path}.new", "w") as file:
                json.dump(record, file)
            os.rename(f"{path}.new", path)
        self.tell({"event": "exited", "id": name, **record})


def _kill_strays(name):
    """What left its group came to us as the subreaper; the marker in its environment says whose it was."""
    marker = f"{MARKER}={name}".encode()
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:
            orphans = [int(pid) for pid in file.read().split()]
    except OSError:
        return
    for pid in orphans:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
            if marker in file.read().split(b"\0"):
                os.kill(pid, signal.SIGKILL)


def _prepare(request):
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    os.umask(0o022)
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()


def _execute(entrypoint, request):
    argv = list(request["argv"])
    if argv[0] == "pyflyte-fast-execute" and "--" in argv:
        argv = _fast(argv, request)
    command = _ENTRY_POINTS.get(argv[0])
    if entrypoint is None or command is None:
        os.execvpe(argv[0], argv, os.environ)
    sys.argv = argv
    own = [request["cwd"], *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    sys.path[:0] = dict.fromkeys(own)
    try:
        getattr(entrypoint, command).main(args=argv[1:], prog_name=argv[0])
    except SystemExit as error:
        if error.code is None:
            return 0
        return error.code if isinstance(error.code, int) else 1
    return 0


def _fast(argv, request):
    """Unpack the distribution ourselves, and answer the command inside."""
    at = argv.index("--")
    options, inner = argv[1:at], argv[at + 1 :]
    distribution = options[options.index("--additional-distribution") + 1].removeprefix("file://")
    if not distribution.startswith("/"):
        return argv
    shutil.copytree(_unpacked(distribution, request["cache"]), request["cwd"], dirs_exist_ok=True)
    command = []
    for argument in inner:
        if argument == "--resolver":
            command += ["--dynamic-addl-distro", distribution, "--dynamic-dest-dir", request["cwd"]]
        command.append(argument)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [request["cwd"], os.environ.get("PYTHONPATH")]))
    return command


def _unpacked(distribution, cache):
    """The folder that holds the distribution's files; made once, whole or not at all."""
    folder = os.path.join(cache, hashlib.sha256(distribution.encode()).hexdigest()[:24])
    if os.path.isdir(folder):
        return folder
    os.makedirs(cache, exist_ok=True)
    temporary = tempfile.mkdtemp(dir=cache)
    with tarfile.open(distribution) as archive:
        archive.extractall(temporary, filter="data")
    os.chmod(temporary, 0o755)
    try:
        os.rename(temporary, folder)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


if __name__ == "__main__":
    main(sys.argv[1])
