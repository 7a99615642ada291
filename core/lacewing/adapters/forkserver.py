"""Starts and outlives the tasks of one Python environment. Stand-alone: it must not import lacewing.

It runs with the environment's own Python (3.10 or later): `forkserver.py SOCKET [MODULE]...`. It imports
flytekit and the modules once and forks a child for each task, so that a task starts in milliseconds. It stays
single-threaded, writes each exit to disk before it tells anyone, and goes on when its client dies: one that
comes back finds what ran and what ended.

Requests are JSON lines on the socket:
    {"op": "run", "id", "argv", "env", "cwd", "log", "exit", "cache", "code"}   {"op": "kill", "id", "signal"}
    {"op": "list"}   {"op": "leave"}: end when nothing runs   {"op": "stop"}: end everything, now
Answers go to every client: {"event": "started" | "exited" | "running", "id", ...}.
"""

import asyncio
import atexit
import contextlib
import ctypes
import fcntl
import gc
import hashlib
import importlib
import json
import os
import pathlib
import random
import select
import shutil
import signal
import socket
import sys
import tarfile
import tempfile
import threading
import time
import traceback

MARKER = "LACEWING_POD"
IDLE_SECONDS = 10.0
THREAD_SECONDS = 3
_ENTRY_POINTS = {
    "pyflyte-execute": "execute_task_cmd",
    "pyflyte-map-execute": "map_execute_task_cmd",
}
# Python reads its other variables when it starts; a task that sets one needs an interpreter of its own.
_WARM_VARIABLES = {"PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONIOENCODING"}
_NOT_SETTINGS = ("FLYTE_INTERNAL_", "FLYTE_ATTEMPT_", "FLYTE_EXECUTION_", "FLYTE_K8S_")
_PR_SET_CHILD_SUBREAPER = 36
_REHEARSAL = "from flytekit import task\n@task\ndef add(a: int, b: str) -> int:\n    return a\n"


def main(address, *modules):
    """Go into the background; exit 0 once the server there takes work, 1 if it fails."""
    own = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if os.path.abspath(path or ".") != own]
    lock = os.open(f"{address}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    if not _first(lock, address):
        return
    entrypoint = _preload(f"{address}.tmp", modules)
    sys.stdout.flush()
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        os._exit(0 if os.read(reader, 1) else 1)
    os.close(reader)
    os.setsid()
    _serve(address, entrypoint, lock, writer)


def _first(lock, address):
    """Whether it is ours to serve this address; another that does, or starts to, is waited for."""
    for _ in range(1200):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.connect(address)
            return False
        time.sleep(0.05)
    sys.exit(f"another fork server of {address} does not come up")


def _serve(address, entrypoint, lock, ready):
    """Serve until nobody is connected and nothing runs."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    temporary = f"{address}.{os.getpid()}"
    listener.bind(temporary)
    listener.listen(16)
    os.rename(temporary, address)
    os.write(ready, b"1")
    os.close(ready)
    gc.collect()
    gc.freeze()
    _Server(listener, address, entrypoint, lock).serve()


def _preload(scratch, modules):
    """Import what tasks need. Without flytekit every command starts as a new program."""
    shutil.rmtree(scratch, ignore_errors=True)
    os.makedirs(scratch)
    tempfile.tempdir = scratch
    # As in a task: plain logs, and no threads of gRPC that a fork would break.
    os.environ.update(GRPC_ENABLE_FORK_SUPPORT="0", FLYTE_INTERNAL_EXECUTION_ID="warm")
    try:
        import flytekit.bin.entrypoint
        import flytekit.core.python_auto_container
    except ImportError:
        return None
    for name in modules:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    try:
        _rehearse(flytekit.bin.entrypoint, scratch)
        if "s3fs" in sys.modules:
            _rehearse_s3()
    except Exception:
        traceback.print_exc()
    return flytekit.bin.entrypoint


def _rehearse(entrypoint, scratch):
    """Run one small task: what it compiles and caches, no child has to."""
    from docstring_parser import parse
    from flyteidl.core import literals_pb2
    from flytekit.core.context_manager import FlyteEntities

    parse("Warm its patterns.\n\n:param a: one")
    inputs = literals_pb2.LiteralMap()
    inputs.literals["a"].scalar.primitive.integer = 1
    inputs.literals["b"].scalar.primitive.string_value = "b"
    for name, content in (("inputs.pb", inputs.SerializeToString()), ("rehearsal.py", _REHEARSAL.encode())):
        with open(os.path.join(scratch, name), "wb") as file:
            file.write(content)
    resolver = "flytekit.core.python_auto_container.default_task_resolver"
    arguments = [
        "--inputs", f"{scratch}/inputs.pb", "--output-prefix", f"{scratch}/out",
        "--raw-output-data-prefix", f"{scratch}/raw", "--checkpoint-path", f"{scratch}/checkpoint",
        "--prev-checkpoint", '""', "--resolver", resolver, "--",
        "task-module", "rehearsal", "task-name", "add",
    ]  # fmt: skip
    known = len(FlyteEntities.entities)
    sys.path.insert(0, scratch)
    with contextlib.suppress(SystemExit):
        entrypoint.execute_task_cmd.main(args=arguments, prog_name="pyflyte-execute")
    sys.path.remove(scratch)
    sys.modules.pop("rehearsal", None)
    del FlyteEntities.entities[known:]
    _end_loops()


def _end_loops():
    """End the thread that flytekit started for the rehearsal: what forks has one thread."""
    from flytekit.utils.asyn import loop_manager

    for runner in loop_manager._runner_map.values():
        loop, thread = runner._TaskRunner__loop, runner._TaskRunner__runner_thread
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
    loop_manager._runner_map.clear()


def _rehearse_s3():
    """Make a client of S3 that asks nothing: what it reads and caches, no child has to. Leaves no thread."""
    from aiobotocore.session import get_session

    client = get_session().create_client(
        "s3", "us-east-1", aws_access_key_id="nobody", aws_secret_access_key="-"
    )
    asyncio.run(client.__aenter__())


class _Server:
    def __init__(self, listener, address, entrypoint, lock):
        self.listener, self.address, self.entrypoint, self.lock = listener, address, entrypoint, lock
        self.clients = {}
        self.children = {}
        self.pids = {}
        self.leaving = False
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
            leaves = self.leaving and not self.children
            if leaves or time.monotonic() - idle_since > IDLE_SECONDS:
                self.end()
                return

    def end(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.address)
        shutil.rmtree(f"{self.address}.tmp", ignore_errors=True)

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
            self.leaving = False
            self.run(request)
        elif request["op"] == "kill":
            self.kill(request["id"], request["signal"])
        elif request["op"] == "list":
            self.leaving = False
            self.tell({"event": "running", "pids": self.pids})
        elif request["op"] in ("leave", "stop"):
            self.leaving = True
        if request["op"] == "stop":
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
            for number in (self.wakeup, self.wakeup_writer, self.lock):
                os.close(number)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _prepare(request)
            code = _execute(self.entrypoint, request)
            _wait_for_threads()
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(BaseException):
                atexit._run_exitfuncs()
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
        _kill_strays(name, self.children)
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        code = 128 + number if number else os.WEXITSTATUS(status)
        record = {"code": code, "signal": number, "started": started, "finished": time.time()}
        with contextlib.suppress(OSError):
            with open(f"{path}.new", "w") as file:
                json.dump(record, file)
            os.rename(f"{path}.new", path)
        self.tell({"event": "exited", "id": name, **record})


def _kill_strays(name, others):
    """What left its group came to us as the subreaper; the marker in its environment says whose it was.

    When nothing else runs, it was this one's whatever its environment says.
    """
    marker = f"{MARKER}={name}".encode()
    for orphan in _children(os.getpid()):
        if orphan in others:
            continue
        with contextlib.suppress(OSError), open(f"/proc/{orphan}/environ", "rb") as file:
            if not others or marker in file.read().split(b"\0"):
                _kill_tree(orphan)


def _kill_tree(pid):
    """Stopped first, so that it cannot start more while its children are counted."""
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGSTOP)
    for child in _children(pid):
        _kill_tree(child)
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGKILL)


def _children(pid):
    found = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{thread}/children") as file:
                found += map(int, file.read().split())
    return found


def _prepare(request):
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    os.close(null)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    os.umask(0o022)
    # When the machine runs out of memory, a task goes before what looks after it.
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("500")


def _execute(entrypoint, request):
    argv = list(request["argv"])
    if argv[0] == "pyflyte-fast-execute" and "--" in argv:
        argv = _fast(argv, request)
    command = _ENTRY_POINTS.get(argv[0])
    cold = {name for name in os.environ if name.startswith("PYTHON")} - _WARM_VARIABLES
    if entrypoint is None or command is None or cold:
        return _become_program(argv)
    sys.argv = argv
    own = [request["cwd"], *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    sys.path[:0] = dict.fromkeys(own)
    _forget_the_server()
    code = 0
    try:
        getattr(entrypoint, command).main(args=argv[1:], prog_name=argv[0])
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    with contextlib.suppress(Exception):
        _explain_missing_module(argv)
    return code


def _wait_for_threads():
    """As at the end of a program, but not for ever: the task is done, and others wait for its place."""

    def give_up(*_):
        raise TimeoutError

    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(THREAD_SECONDS)
    try:
        threading._shutdown()
    except TimeoutError:
        sys.stderr.write(
            f"threads that the task left did not end within {THREAD_SECONDS} s, and were ended\n"
        )
    signal.alarm(0)


def _become_program(argv):
    try:
        os.execvpe(argv[0], argv, os.environ)
    except OSError as error:
        sys.stderr.write(f"{argv[0]} cannot be started in {sys.prefix}: {error.strerror}\n")
        if argv[0].startswith("pyflyte"):
            sys.stderr.write(f"install flytekit there: {sys.executable} -m pip install flytekit\n")
        return 127 if isinstance(error, FileNotFoundError) else 126


def _forget_the_server():
    """Read again what was read at import, so that the child is as a new process would be."""
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    tempfile.tempdir = None
    time.tzset()
    sys.stdout.reconfigure(line_buffering=True)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    from flytekit.core import context_manager, data_persistence

    provider = data_persistence.default_local_file_access_provider
    if any(name.startswith("FLYTE_") and not name.startswith(_NOT_SETTINGS) for name in os.environ):
        from flytekit import loggers
        from flytekit.configuration import DataConfig

        loggers.initialize_global_loggers()
        provider._data_config = DataConfig.auto()
        context_manager.FlyteContextManager.initialize()
    provider._local_sandbox_dir = pathlib.Path(tempfile.gettempdir(), "local_flytekit")
    provider._local_sandbox_dir.mkdir(exist_ok=True)
    provider._raw_output_prefix = os.path.join(tempfile.gettempdir(), "raw", "")


def _explain_missing_module(argv):
    """Say in the error that the user sees which environment lacks the module, and what to do."""
    from flyteidl.core import errors_pb2

    path = os.path.join(argv[argv.index("--output-prefix") + 1], "error.pb")
    if not os.path.isfile(path):
        return
    with open(path, "rb") as file:
        document = errors_pb2.ErrorDocument.FromString(file.read())
    _, found, rest = document.error.message.rpartition("ModuleNotFoundError: No module named ")
    if not found:
        return
    module = rest.strip().splitlines()[0].strip("'\"")
    document.error.message += (
        f"\n\nThe environment that ran this task, {sys.prefix}, has no module {module!r}. Install it there "
        f"({sys.executable} -m pip install ...), or run the workflow from an environment that has it: "
        "lacewing demo run --python VENV FILE WORKFLOW"
    )
    with open(path, "wb") as file:
        file.write(document.SerializeToString())


def _fast(argv, request):
    """Unpack the distribution ourselves, and answer the command inside."""
    at = argv.index("--")
    options, inner = argv[1:at], argv[at + 1 :]
    distribution = options[options.index("--additional-distribution") + 1].removeprefix("file://")
    code = request.get("code") or distribution
    if not code.startswith("/"):
        return argv
    if not code.endswith(".tar.gz"):  # a notebook's pickled function, which flytekit finds by this name
        shutil.copy(code, os.path.join(request["cwd"], os.path.basename(distribution)))
    else:
        shutil.copytree(_unpacked(code, request["cache"]), request["cwd"], dirs_exist_ok=True)
    more = ["--dynamic-addl-distro", distribution, "--dynamic-dest-dir", request["cwd"]]
    at = inner.index("--resolver") if "--resolver" in inner else 0
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [request["cwd"], os.environ.get("PYTHONPATH")]))
    return [*inner[:at], *(more if at else ()), *inner[at:]]


def _unpacked(distribution, cache):
    """The folder that holds the distribution's files; made once, whole or not at all."""
    folder = os.path.join(cache, hashlib.sha256(distribution.encode()).hexdigest()[:24])
    if os.path.isdir(folder):
        os.utime(folder)
        return folder
    os.makedirs(cache, exist_ok=True)
    temporary = tempfile.mkdtemp(dir=cache)
    with tarfile.open(distribution) as archive:
        safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        archive.extractall(temporary, **safe)
    os.chmod(temporary, 0o755)
    try:
        os.rename(temporary, folder)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


if __name__ == "__main__":
    main(*sys.argv[1:])
