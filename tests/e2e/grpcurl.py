#!/usr/bin/env python
"""grpcurl's flags, as far as the quickstart uses them, over `buf curl`: for machines that have no grpcurl.

Like grpcurl it knows no proto files: names and JSON fields are those that the server's reflection tells.
"""

import argparse
import os
import sys
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(prog="grpcurl", allow_abbrev=False)
    parser.add_argument("-plaintext", action="store_true", required=True)
    parser.add_argument("-H", dest="headers", action="append", default=[])
    parser.add_argument("-d", dest="data")
    parser.add_argument("address")
    parser.add_argument("symbol", help="list, or package.Service/Method")
    given = parser.parse_args()
    command = ["buf", "curl", "--protocol", "grpc", "--http2-prior-knowledge"]
    for header in given.headers:
        command += ["--header", header, "--reflect-header", header]
    if given.symbol == "list":
        command += ["--list-services", f"http://{given.address}"]
    else:
        command += ["--data", given.data or "{}", f"http://{given.address}/{given.symbol}"]
    os.execv(Path(sys.executable).with_name("buf"), command)


if __name__ == "__main__":
    main()
