"""`make bench`: measures everything, or what is named, prints the tables and keeps them in results/."""

import datetime
import importlib.metadata
import json
import platform
import signal
import sys
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from tests.bench import (
    dataset_commits,
    dataset_pushes,
    flight_puts,
    flight_reads,
    grpc_calls,
    history,
    inference_calls,
    lineage,
    metric_logging,
    model_files,
    proofs,
    registering,
    resolving,
    run_search,
    shuffled_reads,
    tree,
)
from tests.bench.paired import HEADINGS, Result
from tests.bench.running import running
from tests.bench.serving import batches, echo, recording, tuning

BENCHES = {
    "shuffled": shuffled_reads.run,
    "commits": dataset_commits.run,
    "history": history.run,
    "pushes": dataset_pushes.run,
    "puts": flight_puts.run,
    "reads": flight_reads.run,
    "proofs": proofs.run,
    "tree": tree.run,
    "calls": grpc_calls.run,
    "inference": inference_calls.run,
    "echo": echo.run,
    "batches": batches.run,
    "recording": recording.run,
    "tuning": tuning.run,
    "metrics": metric_logging.run,
    "search": run_search.run,
    "model-files": model_files.run,
    "registering": registering.run,
    "resolving": resolving.run,
    "lineage": lineage.run,
}
RESULTS = Path(__file__).parent / "results"
PACKAGES = ("headwater", "grpcio", "pyarrow", "onnxruntime", "asyncpg", "torch", "onnx", "safetensors")


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        print(f"There is no benchmark {unknown[0]}; there are {', '.join(BENCHES)}.", file=sys.stderr)
        return 2
    results: list[Result] = []
    with running() as stack:
        for name in names or BENCHES:
            print(f"measuring {name} …", flush=True)
            for result in BENCHES[name](stack):
                results.append(result)
                print(f"  {result.name}: {result.ratio:.2f} × {result.peer}", flush=True)
        memory = _memory(stack.stack.processes)
    _print(results)
    _keep("-".join(names) or "all", results, memory)
    return 0


def _memory(processes: object) -> dict[str, float]:
    find = processes.find  # type: ignore[attr-defined]
    names = ("registry", "dataset", "preprocessing", "training_scheduler", "inference", "gateway")
    return {name: find(name).memory_info().rss / 2**20 for name in names}


def _print(results: list[Result]) -> None:
    table = Table(*HEADINGS, box=None, pad_edge=False, header_style="bold")
    for result in results:
        table.add_row(*result.row())
    Console(width=None if sys.stdout.isatty() else 180, highlight=False).print(table)


def _keep(name: str, results: list[Result], memory: dict[str, float]) -> None:
    RESULTS.mkdir(exist_ok=True)
    kept = {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {psutil.cpu_count()} cores, Python {platform.python_version()}",
        "versions": {package: importlib.metadata.version(package) for package in PACKAGES},
        "results": [result.to_json() for result in results],
        "resident_mib_afterwards": memory,
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(kept, indent=2) + "\n")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is stopped as at any other end
    raise SystemExit(main(sys.argv[1:]))
