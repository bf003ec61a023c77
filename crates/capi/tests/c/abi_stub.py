"""Defines every function of sonotap.h in C, so that libabigail sees the types of its interface: it sees none in what Rust builds.

abi_stub.py HEADER STUB.c
"""
import re
import sys

with open(sys.argv[1]) as header:
    text = re.sub(r"/\*.*?\*/", "", header.read(), flags=re.S)
functions = re.findall(r"^((?:const )?\w+ \**)(sonotap_\w+)\(([^;]*)\);", text, flags=re.M | re.S)
assert functions, f"{sys.argv[1]}: no function"
with open(sys.argv[2], "w") as stub:
    stub.write('#include "sonotap.h"\n')
    for returned, name, arguments in functions:
        body = "" if returned.strip() == "void" else f" return ({returned.strip()})0; "
        stub.write(f"{returned}{name}({' '.join(arguments.split())}) {{{body}}}\n")
