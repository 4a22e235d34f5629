"""Each layer of CaffeNet and VGG-16 by likenet's CUDA kernels and by PyTorch, on one device, in one run.

`python3 benches/cuda/layers.py plans.json [word ...]` plays the plans that plans.rs prints, with the PTX of
kernels/cuda/ptx. It checks, then times: each result is compared with PyTorch's in exact f32; times are CUDA graphs'
over the launches, the median of three; PyTorch's is the better of channels_last and (f32) contiguous, with
cudnn.benchmark. Words choose lines: "vgg", "/64", "f16". Needs PyTorch with CUDA and likenet's checkout.
"""

import ctypes
import json
import os
import sys
import time

import torch
import torch.nn.functional as F

PTX = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "kernels", "cuda", "ptx")
TYPES = {"f32": torch.float32, "tf32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
# How far a result may be from exact f32's, as a share of its norm.
BOUNDS = {"f32": 1e-5, "tf32": 1e-3, "f16": 2e-3, "bf16": 1e-2}
driver = ctypes.CDLL("libcuda.so.1")
modules, functions = {}, {}


def must(code, what):
    if code:
        raise RuntimeError(f"{what}: driver error {code}")


def array(kind, values):
    return (kind * len(values))(*values)


def tensor_map(address, number, dims, rows, corners):
    """A CUtensorMap, and the buffer that keeps it at a multiple of 64 bytes."""
    element = {"f16": 2, "bf16": 2, "tf32": 4}[number]
    pitches, size = [], element
    for length in dims[:-1]:
        size *= length
        pitches.append(size)
    buffer = ctypes.create_string_buffer(256)
    at = (ctypes.addressof(buffer) + 63) // 64 * 64
    kind = {"f16": 6, "bf16": 9, "tf32": 7}[number]
    u64, u32, i32 = ctypes.c_uint64, ctypes.c_uint32, ctypes.c_int
    head = (ctypes.c_void_p(at), kind, len(dims), ctypes.c_void_p(address), array(u64, dims), array(u64, pitches))
    tail = (0, 3, 3, 0)  # not interleaved, 128-byte swizzle, 256 bytes of L2, zeros outside
    if corners is None:
        code = driver.cuTensorMapEncodeTiled(*head, array(u32, [128 // element, rows]), array(u32, [1, 1]), *tail)
    else:
        lower, upper, stride = corners
        code = driver.cuTensorMapEncodeIm2col(
            *head, array(i32, lower), array(i32, upper), 128 // element, rows, array(u32, [1, *stride, 1]), *tail
        )
    must(code, f"tensor map of {dims}, {corners}")
    return buffer, at


def function(launch):
    """A kernel, from the PTX that suits the device best."""
    name, file = launch["kernel"], launch["file"]
    if name not in functions:
        if file not in modules:
            major, minor = torch.cuda.get_device_capability()
            own = [f"{major}{minor}a"] + [t for t in ("80", "70") if int(t) <= 10 * major + minor]
            path = next(p for t in own if os.path.exists(p := f"{PTX}/{file}.{t}.ptx"))
            modules[file] = ctypes.c_void_p()
            must(driver.cuModuleLoad(ctypes.byref(modules[file]), path.encode()), path)
        handle = ctypes.c_void_p()
        must(driver.cuModuleGetFunction(ctypes.byref(handle), modules[file], name.encode()), name)
        if launch["shared"] > 48 << 10:
            must(driver.cuFuncSetAttribute(handle, 8, launch["shared"]), f"shared memory of {name}")
        functions[name] = handle
    return functions[name]


def prepared(launch, buffers):
    """A launch as a function of a stream."""
    kept, pointers = [], (ctypes.c_void_p * len(launch["args"]))()
    for i, (kind, *rest) in enumerate(launch["args"]):
        if kind == "bytes":
            raw = bytes.fromhex(rest[0])
            value = ctypes.create_string_buffer(raw, len(raw))
            pointers[i] = ctypes.addressof(value)
        else:
            address = buffers[rest[0]].data_ptr() + rest[1]
            if kind == "pointer":
                value = ctypes.c_uint64(address)
                pointers[i] = ctypes.addressof(value)
            else:
                value, pointers[i] = tensor_map(address, *rest[2:])
        kept.append(value)
    kernel, grid = function(launch), launch["grid"]

    def go(_kept=kept):
        stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
        code = driver.cuLaunchKernel(kernel, *grid, launch["block"], 1, 1, launch["shared"], stream, pointers, None)
        must(code, launch["kernel"])

    return go


def timed(work):
    """Microseconds."""
    work()
    torch.cuda.synchronize()
    start = time.time()
    work()
    torch.cuda.synchronize()
    count = max(1, min(200, int(0.015 / max(time.time() - start, 5e-6))))
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(count):
            work()
    graph.replay()
    times = []
    for _ in range(3):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        graph.replay()
        end.record()
        torch.cuda.synchronize()
        times.append(begin.elapsed_time(end) / count * 1e3)
    return sorted(times)[1]


def allow_tf32(on):
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = on


def peaks():
    a = torch.rand(1 << 29, device="cuda")
    b = torch.empty_like(a)
    print(f"copy: {8 * (1 << 29) / timed(lambda: b.copy_(a)) / 1e6:.2f} TB/s")
    best = {}
    for number in ("f32", "tf32", "f16"):
        allow_tf32(number == "tf32")
        a, b = (torch.rand(8192, 8192, device="cuda", dtype=TYPES[number]) * 2 - 1 for _ in range(2))
        best[number] = 2 * 8192**3 / timed(lambda: a @ b) / 1e6
        print(f"cuBLAS {number} 8192³: {best[number]:.1f} TFLOP/s")
    return best


theirs = {}


def pytorch(p, x, weight, bias):
    number, key = p["number"], (p["layer"], p["batch"], p["number"])
    if key in theirs:
        return theirs[key]
    allow_tf32(number == "tf32")
    x, weight, bias = (t.to(TYPES[number]) for t in (x, weight, bias))
    if p["oh"] == p["ow"] == 1:
        x, weight = x.flatten(1), weight.flatten(1)
        theirs[key] = timed(lambda: F.linear(x, weight, bias))
    else:
        how = dict(stride=p["stride"], padding=p["pad"], groups=p["groups"])
        formats = [torch.channels_last] + [torch.contiguous_format] * (number == "f32")
        best = []
        for form in formats:
            xf, wf = x.contiguous(memory_format=form), weight.contiguous(memory_format=form)
            best.append(timed(lambda: F.conv2d(xf, wf, bias, **how)))
        theirs[key] = min(best)
    return theirs[key]


def layer(p, peak):
    b, number = p["batch"], p["number"]
    draw = lambda *shape: torch.rand(shape, device="cuda") * 2 - 1
    x, weight = draw(b, p["c"], p["h"], p["w"]), draw(p["f"], p["c"] // p["groups"], *p["kernel"])
    bias = draw(p["f"])
    y = torch.full((b * p["f"] * p["oh"] * p["ow"],), float("nan"), dtype=TYPES[number], device="cuda")
    buffers = dict(x=x, weight=weight, bias=bias, y=y)
    for name in ("inner", "packed", "scratch"):
        buffers[name] = torch.empty(max(p[name], 16), dtype=torch.uint8, device="cuda")
    enter, pack, plan = ([prepared(launch, buffers) for launch in p[k]] for k in ("enter", "pack", "plan"))
    for go in enter + pack + plan:
        go()
    torch.cuda.synchronize()
    allow_tf32(False)
    n = min(b, 4)
    want = F.conv2d(x[:n], weight, bias, stride=p["stride"], padding=p["pad"], groups=p["groups"])
    shape = (b, p["f"], p["oh"], p["ow"])
    got = y.reshape(shape) if number == "f32" else y.reshape(b, p["oh"], p["ow"], p["f"]).permute(0, 3, 1, 2)
    error = ((got[:n].float() - want).norm() / want.norm()).item()
    right = error < BOUNDS[number] and bool(torch.isfinite(y).all())
    ours, there = timed(lambda: [go() for go in plan]), pytorch(p, x, weight, bias)
    entering = timed(lambda: [go() for go in enter]) if enter and p["c"] < 16 else 0.0
    rate = 2 * y.numel() * weight[0].numel() / 1e6
    print(
        f"{p['layer']:15} {b:5} {number:5} {p['way']:9} {ours:10.1f} us (+{entering:6.1f} to enter) {rate / ours:7.1f} TFLOP/s "
        f"{100 * rate / ours / peak[number]:4.0f}%  PyTorch {there:10.1f} us  ratio {there / (ours + entering):5.2f}  "
        f"error {error:.1e} {'' if right else 'WRONG'} {p['plan'][0]['kernel']}",
        flush=True,
    )
    return right


def main():
    torch.backends.cudnn.benchmark = True
    print(torch.cuda.get_device_name(), torch.__version__)
    peak, wrong = peaks(), 0
    with open(sys.argv[1], encoding="utf-8") as f:
        plans = [json.loads(line) for line in f]
    for p in plans:
        line = f"{p['layer']}/{p['batch']} {p['number']} {p['way']}"
        if all(word in line for word in sys.argv[2:]):
            wrong += not layer(p, peak)
    sys.exit(f"{wrong} wrong" if wrong else 0)


if __name__ == "__main__":
    main()
