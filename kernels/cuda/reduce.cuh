// Sums in a fixed order, whatever the device: flows in, what each thread has; flows out, the block's sum.
#pragma once
#include "host/portable.cuh"

// The sum over a block of up to 1024 threads, which all must call: known to all of them.
template <class T>
__device__ inline T block_sum(T own) {
    __shared__ T of_warps[32];
    for (int apart = 16; apart > 0; apart /= 2) own = own + __shfl_xor_sync(~0u, own, apart);
    int warps = int(blockDim.x / 32), warp = int(threadIdx.x / 32);
    if (threadIdx.x % 32 == 0) of_warps[warp] = own;
    __syncthreads();
    T sum = of_warps[0];
    for (int i = 1; i < warps; i++) sum = sum + of_warps[i];
    // Whoever comes next must not overwrite what others still read.
    __syncthreads();
    return sum;
}

// The maximum over a block. Whatever is no number is passed over.
__device__ inline float block_max(float own) {
    __shared__ float of_warps[32];
    for (int apart = 16; apart > 0; apart /= 2) own = fmaxf(own, __shfl_xor_sync(~0u, own, apart));
    int warps = int(blockDim.x / 32), warp = int(threadIdx.x / 32);
    if (threadIdx.x % 32 == 0) of_warps[warp] = own;
    __syncthreads();
    float top = of_warps[0];
    for (int i = 1; i < warps; i++) top = fmaxf(top, of_warps[i]);
    __syncthreads();
    return top;
}

// A blob seen along an axis, as AxisView of ops.rs.
struct Axis {
    Count outer, len, inner;
};

// Quotient and remainder; in 32 bits where they suffice, which is much faster.
__device__ inline Count divided(Count n, Count by, Count* rest) {
    if (((n | by) >> 32) == 0) {
        *rest = uint32_t(n) % uint32_t(by);
        return uint32_t(n) / uint32_t(by);
    }
    *rest = n % by;
    return n / by;
}
// The index along the axis of element i.
__device__ inline Count along(const Axis& v, Count i) {
    Count rest;
    divided(divided(i, v.inner, &rest), v.len, &rest);
    return rest;
}
