"""What streams have freed, and where it goes."""

import subprocess
import sys

_STREAMS = """
import psutil, pyarrow as pa
from chassis import memory

def resident():
    return psutil.Process().memory_info().rss >> 20

def pass_through():
    pool = pa.system_memory_pool()
    blocks = [pa.allocate_buffer(1 << 20, memory_pool=pool) for _ in range(128)]
    for block in blocks:
        memoryview(block).cast("B")[::4096] = bytes(256)

memory.keep_freed()
before = resident()
with memory.stream():
    with memory.stream():
        pass_through()
    kept = resident()
print(kept - before, resident() - before)
"""


def test_what_streams_have_freed_is_kept_until_the_last_of_them_ends() -> None:
    out = subprocess.run([sys.executable, "-c", _STREAMS], check=True, capture_output=True, text=True).stdout
    kept, afterwards = (int(word) for word in out.split())
    assert kept > 100  # MiB
    assert afterwards < 32


_MOMENTS = """
import psutil, sys
from concurrent.futures import ThreadPoolExecutor
from chassis import memory

def resident():
    return psutil.Process().memory_info().rss >> 20

def moment(size):
    large = bytearray(size << 20)
    small = bytes(100)  # beside it, and kept
    del large
    return small

if sys.argv[1] == "returned":
    memory.return_freed()
with ThreadPoolExecutor(1) as thread:
    before = resident()
    kept = [thread.submit(moment, size).result() for size in (8, 16, 24, 31) for _ in range(4)]
    print(resident() - before)
"""


def test_what_was_large_for_a_moment_goes_back_to_the_system() -> None:
    """Promise 8."""
    command = [sys.executable, "-c", _MOMENTS, "returned"]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert int(out) < 8  # MiB


_THREADS = """
import psutil, sys, threading
from chassis import memory

def use():
    blocks = [bytearray(1 << 20) for _ in range(32)]
    del blocks

memory.keep_freed()
if sys.argv[1] == "shared":
    memory.share_freed()
before = psutil.Process().memory_info().rss >> 20
kept = threading.Event()
threads = []
for _ in range(8):
    done = threading.Event()
    threads.append(threading.Thread(target=lambda done=done: (use(), done.set(), kept.wait())))
    threads[-1].start()
    done.wait()
print((psutil.Process().memory_info().rss >> 20) - before)
kept.set()
"""


def test_what_one_thread_has_freed_another_takes() -> None:
    command = [sys.executable, "-c", _THREADS]
    alone, shared = (
        int(subprocess.run([*command, how], check=True, capture_output=True, text=True).stdout)
        for how in ("alone", "shared")
    )
    assert alone > 1.5 * shared  # of the arenas that libraries had made before, some are used in turn
