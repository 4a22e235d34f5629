"""From kernels/cuda/*.cu to PTX, with NVRTC; with --check also through ptxas. Called by build.sh.

A source says on its first lines for which targets PTX is made, `// targets: compute_70 compute_80 sm_90a`; without such a line for 70.
"""

import ctypes
import glob
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
# nvidia is a namespace without a file of its own.
import nvidia.cuda_nvrtc  # noqa: E402

TOOLS = list(nvidia.cuda_nvrtc.__path__)[0]
PTXAS = os.path.join(os.path.dirname(TOOLS), "cuda_nvcc", "bin", "ptxas")
ARCHITECTURES = {"70": ["sm_70", "sm_80", "sm_90"], "80": ["sm_80", "sm_90"], "90a": ["sm_90a"]}


def nvrtc():
    folder = os.path.join(TOOLS, "lib")
    ctypes.CDLL(glob.glob(os.path.join(folder, "libnvrtc-builtins.so*"))[0], mode=ctypes.RTLD_GLOBAL)
    return ctypes.CDLL(os.path.join(folder, "libnvrtc.so.12"))


def compile_ptx(library, path, target):
    """The PTX of a source, or the compiler's words."""
    options = [
        f"--gpu-architecture=compute_{target}",
        "--std=c++17",
        # What is fused is written so: the GPU and the emulator round alike.
        "--fmad=false",
        f"--include-path={HERE}",
    ]
    with open(path, encoding="utf-8") as f:
        text = f.read()
    program = ctypes.c_void_p()
    name = os.path.basename(path).encode()
    library.nvrtcCreateProgram(ctypes.byref(program), text.encode(), name, 0, None, None)
    array = (ctypes.c_char_p * len(options))(*[o.encode() for o in options])
    code = library.nvrtcCompileProgram(program, len(options), array)

    def fetch(kind):
        size = ctypes.c_size_t()
        getattr(library, f"nvrtcGet{kind}Size")(program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        getattr(library, f"nvrtcGet{kind}")(program, buffer)
        return buffer.value.decode()

    log = fetch("ProgramLog").strip()
    if code != 0:
        raise SystemExit(f"{path} for {target}:\n{log}")
    if log:
        print(f"{path} for {target}:\n{log}")
    ptx = fetch("PTX")
    library.nvrtcDestroyProgram(ctypes.byref(program))
    return ptx


def targets(path):
    with open(path, encoding="utf-8") as f:
        head = "".join(f.readlines()[:12])
    found = re.search(r"^// targets:(.*)$", head, re.M)
    return [re.sub("^(compute|sm)_", "", t) for t in found.group(1).split()] if found else ["70"]


def files():
    """Everything that belongs into ptx/, by its name."""
    library = nvrtc()
    made, rows = {}, []
    for path in sorted(glob.glob(os.path.join(HERE, "*.cu"))):
        stem = os.path.splitext(os.path.basename(path))[0]
        variants = []
        for target in targets(path):
            name = f"{stem}.{target}.ptx"
            made[name] = compile_ptx(library, path, target)
            variants.append(f'("{target}", include_str!("{name}"))')
        rows.append(f'    ("{stem}", &[{", ".join(variants)}]),\n')
    made["files.rs"] = "// Made by build.py.\n#[rustfmt::skip]\nstatic FILES: &Files = &[\n" + "".join(rows) + "];\n"
    return made


def assemble(item):
    """What ptxas says of a file for one architecture: a line for each kernel."""
    name, text, architecture = item
    with tempfile.NamedTemporaryFile("w", suffix=".ptx") as f:
        f.write(text)
        f.flush()
        command = [PTXAS, "-v", f"-arch={architecture}", "-o", "/dev/null", f.name]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{name} on {architecture}: {done.stderr}")
    lines = []
    for kernel, rest in re.findall(r"entry function '(\w+)'.*?\n(.*?)(?=ptxas info\s+: Compiling|\Z)", done.stderr, re.S):
        registers = re.search(r"Used (\d+) registers", rest)
        spills = re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", rest)
        shared = re.search(r"(\d+) bytes smem", rest)
        lines.append((architecture, kernel, int(registers.group(1)), int(spills.group(1)), int(shared.group(1)) if shared else 0))
    return lines


def main():
    folder = os.path.join(HERE, "ptx")
    made = files()
    if "--check" not in sys.argv:
        os.makedirs(folder, exist_ok=True)
        for name in set(os.listdir(folder)) - set(made):
            os.remove(os.path.join(folder, name))
        for name, text in made.items():
            with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
                f.write(text)
        print(f"{len(made) - 1} files of PTX")
        return
    stale = set(made) ^ set(os.listdir(folder))
    for name, text in made.items():
        path = os.path.join(folder, name)
        if os.path.exists(path) and open(path, encoding="utf-8").read() != text:
            stale.add(name)
    if stale:
        raise SystemExit(f"not as kernels/cuda/build.sh makes them: {', '.join(sorted(stale))}")
    print(f"{len(made) - 1} files of PTX equal their sources")
    work = [
        (name, text, architecture)
        for name, text in made.items()
        if name.endswith(".ptx")
        for architecture in ARCHITECTURES[name.split(".")[-2]]
    ]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        lines = [line for lines in pool.map(assemble, work) for line in lines]
    print(f"{'':8}{'kernel':40}{'registers':>10}{'spilled':>9}{'shared':>8}")
    for architecture, kernel, registers, spilled, shared in lines:
        print(f"{architecture:8}{kernel:40}{registers:10}{spilled:9}{shared:8}")
    print(f"ptxas takes {len(lines)} kernels on {', '.join(sorted({line[0] for line in lines}))}")


main()
