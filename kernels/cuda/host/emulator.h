// The part of CUDA C++ that likenet's kernels use, on the CPU.
//
// Flows in: kernels, as they are written for the GPU. Flows out: functions that compute the same numbers, one
// block after the other, the threads of a block as fibers of one thread of the host.
//
// A fiber runs until it waits: at a block's barrier, or where the lanes of a warp exchange something. So a missing
// barrier shows: without it one thread's whole work is done before the next one starts. In which order they start
// is chosen by LIKENET_EMULATOR_ORDER (forward, backward, shuffled), because a race may hide behind one of them.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __restrict__ __restrict
#define __align__(n) __attribute__((aligned(n)))
#define __grid_constant__
#define __constant__ static const
// One block at a time runs on a thread of the host.
#define __shared__ static thread_local

struct uint3 { unsigned x, y, z; };
struct dim3 { unsigned x = 1, y = 1, z = 1; };
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) int2 { int x, y; };
struct alignas(16) int4 { int x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline int2 make_int2(int x, int y) { return {x, y}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

extern thread_local uint3 threadIdx, blockIdx;
extern thread_local dim3 blockDim, gridDim;
constexpr int warpSize = 32;

namespace emulator {

// Where a thread waits: it goes on when `ready` says so. Ends the program when no thread can go on.
void wait_until(const std::function<bool()>& ready);

// All living threads of the block meet.
void block_barrier();

// What `threads` neighbouring threads (a warp, a warpgroup) do together: each gives `bytes` of its own; when all
// have, the last calls `all` with what they gave, in their order, and each gets back what stands there then.
void exchange(int threads, void* own, std::size_t bytes, void (*all)(void* of_each, const void* context),
              const void* context);

// The same with types: `together` changes an array of as many `T` as there are threads.
template <class T, class F>
T collective(int threads, T own, F together) {
    exchange(threads, &own, sizeof(T),
             [](void* each, const void* f) { (*static_cast<const F*>(f))(static_cast<T*>(each)); }, &together);
    return own;
}

// This thread's number in its block, as the hardware counts.
unsigned linear_thread();
// The launch's dynamic shared memory.
unsigned char* dynamic_shared();

// Copies that have begun and will be there after a wait, oldest group first.
void copy_later(void* to, const void* from, unsigned bytes, unsigned valid);
void close_group();
void finish_groups(unsigned but_newest);

// A kernel's name, and how it is called with a driver's array of pointers to arguments.
struct Kernel {
    Kernel(const char* name, std::function<void(void**)> call);
};

template <class... A>
std::function<void(void**)> caller(void (*kernel)(A...)) {
    return [kernel](void** p) {
        [&]<std::size_t... I>(std::index_sequence<I...>) {
            kernel(*static_cast<std::remove_const_t<A>*>(p[I])...);
        }(std::index_sequence_for<A...>());
    };
}

}  // namespace emulator

#define KERNEL(name, args)                                                                         \
    extern "C" void name args;                                                                     \
    static const emulator::Kernel emulated_##name(#name, emulator::caller(&name));                 \
    extern "C" void name args
#define KERNEL_BOUNDED(threads, blocks, name, args) KERNEL(name, args)
#define DYNAMIC_SHARED(type, name) type* name = reinterpret_cast<type*>(emulator::dynamic_shared())

inline void __syncthreads() { emulator::block_barrier(); }
inline void __syncwarp(unsigned = ~0u) { emulator::collective(32, char(), [](char*) {}); }
inline void __threadfence_block() {}
inline void __threadfence() {}

// Shuffles of whole warps: every lane takes part.
template <class T, class From>
T shuffled(T own, From from) {
    return emulator::collective(32, own, [&](T* lanes) {
        T before[32];
        std::memcpy(before, lanes, sizeof before);
        for (int lane = 0; lane < 32; lane++) {
            int other = from(lane);
            lanes[lane] = before[other >= 0 && other < 32 ? other : lane];
        }
    });
}
template <class T>
T __shfl_xor_sync(unsigned, T v, int mask) {
    return shuffled(v, [=](int lane) { return lane ^ mask; });
}
template <class T>
T __shfl_down_sync(unsigned, T v, unsigned by) {
    return shuffled(v, [=](int lane) { return lane + int(by); });
}
template <class T>
T __shfl_up_sync(unsigned, T v, unsigned by) {
    return shuffled(v, [=](int lane) { return lane - int(by); });
}
// The source must be the same for all lanes, as it is in our kernels.
template <class T>
T __shfl_sync(unsigned, T v, int source) {
    return shuffled(v, [=](int) { return source & 31; });
}
inline unsigned __ballot_sync(unsigned, int predicate) {
    return emulator::collective(32, unsigned(predicate != 0), [](unsigned* lanes) {
        unsigned bits = 0;
        for (int lane = 0; lane < 32; lane++) bits |= lanes[lane] << lane;
        for (int lane = 0; lane < 32; lane++) lanes[lane] = bits;
    });
}

template <class T>
T __ldg(const T* p) { return *p; }
template <class To, class From>
To same_bits(From from) {
    To to;
    static_assert(sizeof to == sizeof from);
    std::memcpy(&to, &from, sizeof to);
    return to;
}
inline unsigned __float_as_uint(float x) { return same_bits<unsigned>(x); }
inline int __float_as_int(float x) { return same_bits<int>(x); }
inline float __uint_as_float(unsigned x) { return same_bits<float>(x); }
inline float __int_as_float(int x) { return same_bits<float>(x); }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned(uint64_t(a) * b >> 32); }
inline int min(int a, int b) { return a < b ? a : b; }
inline int max(int a, int b) { return a > b ? a : b; }
inline unsigned min(unsigned a, unsigned b) { return a < b ? a : b; }
inline unsigned max(unsigned a, unsigned b) { return a > b ? a : b; }
inline unsigned long long min(unsigned long long a, unsigned long long b) { return a < b ? a : b; }
inline unsigned long long max(unsigned long long a, unsigned long long b) { return a > b ? a : b; }
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
