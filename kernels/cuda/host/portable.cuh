// What makes one source run on the GPU and on the CPU: flows in, a kernel written once; flows out, a GPU's
// kernel under NVRTC, a function of the emulator (emulator.h) under the system's C++ compiler.
#pragma once

#ifdef __CUDACC__

typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long long int64_t;
typedef unsigned long long uint64_t;

// A kernel that can be launched by its name.
#define KERNEL(name, args) extern "C" __global__ void name args
// The same, with a promise about the block's size and how many blocks share a multiprocessor.
#define KERNEL_BOUNDED(threads, blocks, name, args)                                                \
    extern "C" __global__ void __launch_bounds__(threads, blocks) name args
// The shared memory whose size the launch gives, as `type* name`.
#define DYNAMIC_SHARED(type, name)                                                                 \
    extern __shared__ __align__(1024) unsigned char dynamic_shared_memory[];                       \
    type* name = reinterpret_cast<type*>(dynamic_shared_memory)

#else

#include "emulator.h"

#endif

// Elements of any array fit: blobs of more than 2^31 elements are nothing unusual on such devices.
typedef unsigned long long Count;

// The first element of a thread that walks an array together with all others of its grid, and the step.
__device__ inline Count grid_first() { return Count(blockIdx.x) * blockDim.x + threadIdx.x; }
__device__ inline Count grid_step() { return Count(gridDim.x) * blockDim.x; }
// for (each element i of n)
#define EACH(i, n) (Count i = grid_first(); i < (n); i += grid_step())
