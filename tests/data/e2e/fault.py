"""Tasks that misbehave, one way each. What a test changes while a task waits is told by a file."""

import ctypes
import os
import signal
import sys
import threading
import time
from datetime import timedelta

from flytekit import Resources, current_context, task, workflow
from flytekit.exceptions.user import FlyteRecoverableException


def out_of_the_way(name: str, data: bytes) -> None:
    """Write a file where the engine looks for the task's own, and end at once."""
    prefix = sys.argv[sys.argv.index("--output-prefix") + 1]
    os.makedirs(prefix, exist_ok=True)
    with open(os.path.join(prefix, name), "wb") as file:
        file.write(data)
    os._exit(0)


@task
def add(x: int) -> int:
    return x + 1


@task
def hold(x: int, until: str) -> int:
    while not os.path.exists(until):
        time.sleep(0.02)
    return x


@task
def text(size: int) -> str:
    return "x" * size


@task
def length(text: str, x: int) -> int:
    return len(text) + x


@task
def raises(x: int) -> int:
    if x:
        raise ValueError(f"the value {x} is wrong: ünïcödé 漢字")
    return x


@task(timeout=timedelta(seconds=1))
def slow(x: int) -> int:
    time.sleep(3600)
    return x


@task(timeout=timedelta(seconds=1))
def stopped(x: int) -> int:
    os.kill(os.getpid(), signal.SIGSTOP)
    return x


@task
def killed(x: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return x


@task
def silent(x: int) -> int:
    os._exit(0)
    return x


@task
def exits(x: int) -> int:
    print("the last words", flush=True)
    sys.exit(x)
    return x


@task
def crashes(x: int) -> int:
    ctypes.string_at(0)
    return x


@task(requests=Resources(mem="100Mi"), limits=Resources(mem="300Mi"))
def greedy(x: int) -> int:
    held = bytearray(600 * 2**20)
    time.sleep(60)
    return len(held)


@task(retries=2)
def second_try(x: int) -> int:
    if int(os.environ["FLYTE_ATTEMPT_NUMBER"]) < 1:
        raise FlyteRecoverableException("once more")
    return x


@task(retries=1)
def always_again(x: int) -> int:
    if x:
        raise FlyteRecoverableException("never enough")
    return x


@task(retries=3)
def counts(x: int) -> int:
    checkpoint = current_context().checkpoint
    before = checkpoint.read()
    number = int(before) if before else 0
    checkpoint.write(str(number + 1).encode())
    if number < x:
        raise FlyteRecoverableException(f"only {number}")
    return number


@task
def binary(x: int) -> int:
    sys.stdout.buffer.write(bytes(range(256)) * 16)
    sys.stdout.flush()
    os._exit(x)
    return x


@task
def talkative(x: int) -> int:
    line = b"x" * 1023 + b"\n"
    for _ in range(50 * 1024):
        sys.stdout.buffer.write(line)
    return x


@task
def leaves_things_behind(x: int) -> int:
    threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
    os.environ.clear()
    os.chdir("/")
    sys.path.clear()
    return x


@task
def corrupted_outputs(x: int) -> int:
    out_of_the_way("outputs.pb", b"\xff\xffno message at all")
    return x


@task
def empty_error(x: int) -> int:
    out_of_the_way("error.pb", b"")
    return x


@task
def empty_outputs(x: int) -> int:
    out_of_the_way("outputs.pb", b"")
    return x


@workflow
def w_raises(x: int) -> int:
    return add(x=raises(x=x))


@workflow
def w_slow(x: int) -> int:
    return slow(x=x)


@workflow
def w_stopped(x: int) -> int:
    return stopped(x=x)


@workflow
def w_killed(x: int) -> int:
    return killed(x=x)


@workflow
def w_silent(x: int) -> int:
    return silent(x=x)


@workflow
def w_exits(x: int) -> int:
    return exits(x=x)


@workflow
def w_crashes(x: int) -> int:
    return crashes(x=x)


@workflow
def w_greedy(x: int) -> int:
    return greedy(x=x)


@workflow
def w_second_try(x: int) -> int:
    return second_try(x=x)


@workflow
def w_always_again(x: int) -> int:
    return always_again(x=x)


@workflow
def w_counts(x: int) -> int:
    return counts(x=x)


@workflow
def w_binary(x: int) -> int:
    return binary(x=x)


@workflow
def w_talkative(x: int) -> int:
    return talkative(x=x)


@workflow
def w_leaves_things_behind(x: int) -> int:
    return leaves_things_behind(x=x)


@workflow
def w_corrupted_outputs(x: int) -> int:
    return corrupted_outputs(x=x)


@workflow
def w_empty_outputs(x: int) -> int:
    return empty_outputs(x=x)


@workflow
def w_empty_error(x: int) -> int:
    return empty_error(x=x)


@workflow
def between(size: int, until: str) -> int:
    return length(text=text(size=size), x=hold(x=1, until=until))


@workflow
def held(x: int, until: str) -> int:
    return add(x=hold(x=x, until=until))


@workflow
def measured(text: str) -> int:
    return length(text=text, x=0)


@workflow
def grown(size: int) -> str:
    return text(size=size)


@workflow
def one(x: int) -> int:
    return add(x=x)
