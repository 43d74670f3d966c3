"""Writes order.ld anew: the functions that a node needs until it stands idle. Run by gdb (`just startup-order`)."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading

import gdb

# Until then a node has started, and what comes now and then has come: by far, since gdb holds it up.
SECONDS = 150
HEAD = """/* Functions that a node needs until it stands idle, in the order of their first use; the linker puts them side by side.
   Resident of the program is what they take, rather than nearly all of it: the kernel maps 64 KiB around what is used
   (decision 0016). A name that is not there any more does no harm, and a function that is missing costs memory only.
   Written by `just startup-order`; build.rs hands it to the linker. */
"""


def functions(program):
    """Names of the program's functions by address."""
    names = {}
    for line in subprocess.run(["nm", "-S", program], capture_output=True, text=True, check=True).stdout.splitlines():
        words = line.split()
        if len(words) == 4 and words[2] in "tT":
            names.setdefault(int(words[0], 16), (int(words[1], 16), words[3]))
    return names


def pattern(name):
    """A name as every build has it: without the hashes of the compiler."""
    name = re.sub(r"\.llvm\.\d+$", "*", name)
    return re.sub(r"17h[0-9a-f]{16}E\*?$", "17h*", name)


def record(program, names):
    """Addresses in the order in which a node comes by, up to idle."""
    data_dir = tempfile.mkdtemp()
    gdb.execute(f"set args serve --data-dir {data_dir}/node --port 0 --cluster-port 0 --peer-port 0 --http-port 0")
    for command in [
        "set pagination off",
        "set confirm off",
        "set breakpoint always-inserted on",
        "handle all nostop noprint pass",
        "handle SIGTRAP stop",
        "starti",
    ]:
        gdb.execute(command, to_string=True)
    process = gdb.selected_inferior().pid
    with open(f"/proc/{process}/maps", encoding="ascii") as maps:
        base = next(int(line.split("-")[0], 16) for line in maps if program in line)
    for address in names:
        gdb.execute(f"tbreak *{base + address:#x}", to_string=True)
    idle = threading.Event()

    def stop():
        idle.set()
        os.kill(process, signal.SIGTERM)

    threading.Timer(SECONDS, stop).start()
    order = []
    while True:
        gdb.execute("continue", to_string=True)
        if idle.is_set() or not gdb.selected_inferior().pid:
            break
        address = int(gdb.parse_and_eval("$pc")) - base
        if address in names:
            order.append(address)
    gdb.execute("kill", to_string=True)
    shutil.rmtree(data_dir)
    return order


def main():
    """Where a pattern stands for many functions of which some are used (instances of something generic), those go first by
    their full names; their hashes hold until the compiler or a dependency changes."""
    program = gdb.current_progspace().filename
    names = functions(program)
    order = list(dict.fromkeys(record(program, names)))
    used, all_bytes = {}, {}
    for address, (size, name) in names.items():
        all_bytes[pattern(name)] = all_bytes.get(pattern(name), 0) + size
    for address in order:
        size, name = names[address]
        used[pattern(name)] = used.get(pattern(name), 0) + size
    lines = {}
    for address in order:
        name = names[address][1]
        whole = used[pattern(name)] >= all_bytes[pattern(name)]
        lines[pattern(name) if whole else re.sub(r"\.llvm\.\d+$", "*", name)] = None
    # For when those hashes have changed: what is mostly used, first.
    shares = {name: used_bytes / max(all_bytes[name], 1) for name, used_bytes in used.items()}
    lines.update(dict.fromkeys(sorted(used, key=shares.get, reverse=True)))
    with open(os.path.join(os.path.dirname(__file__), "order.ld"), "w", encoding="ascii") as file:
        file.write(HEAD + "SECTIONS\n{\n  .text.startup_order :\n  {\n    *crt1.o(.text)\n")
        file.writelines(f"    *(.text*.{line})\n" for line in lines)
        file.write("  }\n}\nINSERT BEFORE .text;\n")
    print(f"{len(lines)} names, {sum(used.values())} bytes used of {sum(all_bytes[name] for name in used)}")


main()
