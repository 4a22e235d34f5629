// Hopper's own instructions (sm_90a) as small functions: barriers that count bytes, bulk copies of tiles by tensor
// maps, and products of whole warpgroups out of shared memory. The host's bodies compute the same numbers at once.
#pragma once
#include "numbers.cuh"

// ---- barriers ------------------------------------------------------------------------------------------------------

#ifdef __CUDACC__
typedef unsigned long long Barrier;
#else
struct alignas(8) Barrier {
    uint8_t phase, count, pending;
    int bytes;
};
#endif

#if !defined(__CUDACC__)
inline void barrier_check(Barrier* b) {
    if (b->pending != 0 || b->bytes != 0) return;
    b->phase ^= 1;
    b->pending = b->count;
}
#endif

// A phase ends when `count` threads have arrived and all announced bytes are there.
__device__ inline void barrier_init(Barrier* b, unsigned count) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(shared_address(b)), "r"(count) : "memory");
#elif !defined(__CUDACC__)
    *b = {0, uint8_t(count), uint8_t(count), 0};
#endif
}
// After the inits, before anybody else uses the barriers.
__device__ inline void barrier_init_fence() {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    asm volatile("fence.proxy.async;" ::: "memory");
#endif
}
__device__ inline void barrier_arrive(Barrier* b) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    asm volatile("mbarrier.arrive.shared.b64 _, [%0];" ::"r"(shared_address(b)) : "memory");
#elif !defined(__CUDACC__)
    b->pending--;
    barrier_check(b);
#endif
}
// Arrives, and announces bytes that a copy will bring.
__device__ inline void barrier_expect(Barrier* b, unsigned bytes) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    asm volatile("mbarrier.arrive.expect_tx.shared.b64 _, [%0], %1;" ::"r"(shared_address(b)), "r"(bytes) : "memory");
#elif !defined(__CUDACC__)
    b->bytes += int(bytes);
    b->pending--;
    barrier_check(b);
#endif
}
// Waits until the phase of this parity has ended.
__device__ inline void barrier_wait(Barrier* b, unsigned parity) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    asm volatile(
        "{\n.reg .pred done;\n"
        "again: mbarrier.try_wait.parity.shared.b64 done, [%0], %1;\n"
        "@done bra end;\n"
        "bra again;\n"
        "end:\n}" ::"r"(shared_address(b)), "r"(parity) : "memory");
#elif !defined(__CUDACC__)
    emulator::wait_until([=] { return b->phase != parity; });
#endif
}

// ---- bulk copies ---------------------------------------------------------------------------------------------------

// What the driver encodes (CUtensorMap); the emulator reads its own fields.
struct alignas(64) TensorMap {
    unsigned char opaque[128];
};

#ifndef __CUDACC__
// `box` elements of 128 bytes in all, swizzled; `rows` of them. Tiled: dims[0] x dims[1]. By patches: dims are
// channels, width, height, pictures, and a row is a pixel.
struct EmulatedMap {
    const unsigned char* base;
    uint64_t dims[4];
    uint64_t pitch[3];  // bytes
    int32_t rank, element, rows;
    int32_t lower[2], upper[2], stride[2];  // across, down
};
static_assert(sizeof(EmulatedMap) <= 128);
inline void emulated_row(const EmulatedMap& m, unsigned char* to, int row, const int at[4], bool inside) {
    for (int byte = 0; byte < 128; byte++) {
        auto where = reinterpret_cast<uintptr_t>(to) + row * 128 + byte;
        where ^= (where >> 7 & 7) << 4;
        int64_t channel = at[0] + byte / m.element;
        const unsigned char* from = m.base + channel * m.element + byte % m.element;
        for (int i = 1; i < m.rank; i++) from += at[i] * int64_t(m.pitch[i - 1]);
        bool there = inside && channel >= 0 && channel < int64_t(m.dims[0]);
        for (int i = 1; i < m.rank; i++) there = there && at[i] >= 0 && at[i] < int64_t(m.dims[i]);
        *reinterpret_cast<unsigned char*>(where) = there ? *from : 0;
    }
}
inline void emulated_done(Barrier* b, int bytes) {
    b->bytes -= bytes;
    barrier_check(b);
}
#endif

// A box of a matrix, from column x and row y on.
__device__ inline void copy_box(void* to, const TensorMap& map, Barrier* b, int x, int y) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::"r"(
            shared_address(to)),
        "l"(&map), "r"(x), "r"(y), "r"(shared_address(b))
        : "memory");
#elif !defined(__CUDACC__)
    auto& m = reinterpret_cast<const EmulatedMap&>(map);
    for (int row = 0; row < m.rows; row++) {
        int at[4] = {x, y + row, 0, 0};
        emulated_row(m, static_cast<unsigned char*>(to), row, at, true);
    }
    emulated_done(b, m.rows * 128);
#endif
}

// Neighbouring pixels' channels, from channel c of the pixel (x, y) of a picture on, each shifted by a tap of the
// window. Pixels follow one another with the map's stride inside its corners, row by row, picture by picture.
__device__ inline void copy_patches(void* to, const TensorMap& map, Barrier* b, int c, int x, int y, int picture,
                                    int tap_x, int tap_y) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    asm volatile(
        "cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes "
        "[%0], [%1, {%2, %3, %4, %5}], [%6], {%7, %8};" ::"r"(shared_address(to)),
        "l"(&map), "r"(c), "r"(x), "r"(y), "r"(picture), "r"(shared_address(b)), "h"(uint16_t(tap_x)),
        "h"(uint16_t(tap_y))
        : "memory");
#elif !defined(__CUDACC__)
    auto& m = reinterpret_cast<const EmulatedMap&>(map);
    for (int row = 0; row < m.rows; row++) {
        int at[4] = {c, x + tap_x, y + tap_y, picture};
        emulated_row(m, static_cast<unsigned char*>(to), row, at, true);
        x += m.stride[0];
        if (x > int(m.dims[1]) - 1 + m.upper[0]) {
            x = m.lower[0];
            y += m.stride[1];
            if (y > int(m.dims[2]) - 1 + m.upper[1]) {
                y = m.lower[1];
                picture++;
            }
        }
    }
    emulated_done(b, m.rows * 128);
#endif
}

// ---- products of a warpgroup ---------------------------------------------------------------------------------------

// A matrix in shared memory whose rows are 128 bytes along k, swizzled; it begins at a multiple of 1024 bytes.
#ifdef __CUDACC__
typedef uint64_t Tile128;
__device__ inline Tile128 tile_128(const void* p) {
    // address; leading offset (unused here); 1024 bytes between groups of eight rows; 128-byte swizzle
    return (shared_address(p) & 0x3ffff) >> 4 | uint64_t(1) << 16 | uint64_t(1024 >> 4) << 32 | uint64_t(1) << 62;
}
// The next 32 bytes along k.
__device__ inline Tile128 along(Tile128 t, int steps) { return t + 2 * steps; }
#else
typedef const unsigned char* Tile128;
inline Tile128 tile_128(const void* p) { return static_cast<Tile128>(p); }
inline Tile128 along(Tile128 t, int steps) { return t + 32 * steps; }
#endif

__device__ inline void group_fence() {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#endif
}
__device__ inline void group_commit() {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#endif
}
template <int N>
__device__ inline void group_wait() {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory");
#endif
}

// Registers go from the warpgroup that copies to those that multiply, who hold their sums in them.
__device__ inline void registers_few() {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
#endif
}
__device__ inline void registers_many() {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
#endif
}

#ifdef __CUDACC__

#define REGISTERS_0 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"                                           \
                    "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define REGISTERS_1 "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,"                                 \
                    "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
#define REGISTERS_2 "%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79,"                                 \
                    "%80,%81,%82,%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95"
#define REGISTERS_3 "%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111,"                     \
                    "%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127"
#define SUM_4(d, i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define SUM_16(d, i) SUM_4(d, i), SUM_4(d, i + 4), SUM_4(d, i + 8), SUM_4(d, i + 12)
#define SUM_32(d, i) SUM_16(d, i), SUM_16(d, i + 16)
// d (64 x n) += a b; `tail` says how the operands lie, for those types that may choose.
#define GROUP_PRODUCT(shape, types, tail, registers, a_at, b_at, ...)                                                  \
    asm volatile("wgmma.mma_async.sync.aligned." shape "." types " {" registers "}, " a_at ", " b_at                   \
                 ", 1, 1, 1" tail ";"                                                                                  \
                 : __VA_ARGS__                                                                                         \
                 : "l"(a), "l"(b))
#define GROUP_PRODUCTS(k, types, tail)                                                                                 \
    if constexpr (N == 64)                                                                                             \
        GROUP_PRODUCT("m64n64" k, types, tail, REGISTERS_0, "%32", "%33", SUM_32(d, 0));                        \
    else if constexpr (N == 128)                                                                                       \
        GROUP_PRODUCT("m64n128" k, types, tail, REGISTERS_0 "," REGISTERS_1, "%64", "%65", SUM_32(d, 0),        \
                      SUM_32(d, 32));                                                                                  \
    else if constexpr (N == 192)                                                                                       \
        GROUP_PRODUCT("m64n192" k, types, tail, REGISTERS_0 "," REGISTERS_1 "," REGISTERS_2, "%96", "%97",      \
                      SUM_32(d, 0), SUM_32(d, 32), SUM_32(d, 64));                                                     \
    else                                                                                                               \
        GROUP_PRODUCT("m64n256" k, types, tail, REGISTERS_0 "," REGISTERS_1 "," REGISTERS_2 "," REGISTERS_3, "%128",   \
                      "%129", SUM_32(d, 0), SUM_32(d, 32), SUM_32(d, 64), SUM_32(d, 96))

template <class T, int N>
struct GroupProduct;
template <int N>
struct GroupProduct<F16, N> {
    __device__ static void run(float (&d)[N / 2], Tile128 a, Tile128 b) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
        GROUP_PRODUCTS("k16", "f32.f16.f16", ", 0, 0");
#endif
    }
};
template <int N>
struct GroupProduct<Bf16, N> {
    __device__ static void run(float (&d)[N / 2], Tile128 a, Tile128 b) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
        GROUP_PRODUCTS("k16", "f32.bf16.bf16", ", 0, 0");
#endif
    }
};
template <int N>
struct GroupProduct<Tf32, N> {
    __device__ static void run(float (&d)[N / 2], Tile128 a, Tile128 b) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
        GROUP_PRODUCTS("k8", "f32.tf32.tf32", "");
#endif
    }
};

#else

template <class T, int N>
struct GroupProduct {
    static double at(Tile128 t, int row, int k) {
        auto where = reinterpret_cast<uintptr_t>(t) + row / 8 * 1024 + row % 8 * 128 + k * T::BYTES;
        where ^= (where >> 7 & 7) << 4;
        typename T::Stored v = *reinterpret_cast<typename T::Stored*>(where);
        return T::BYTES == 4 ? double(__uint_as_float(__float_as_uint(T::to(v)) & 0xffffe000)) : double(T::to(v));
    }
    static void run(float (&d)[N / 2], Tile128 a, Tile128 b) {
        int thread = threadIdx.x % 128, lane = thread % 32;
        for (int i = 0; i < N / 2; i++) {
            int row = thread / 32 * 16 + lane / 4 + i / 2 % 2 * 8, column = i / 4 * 8 + lane % 4 * 2 + i % 2;
            double sum = d[i];
            for (int k = 0; k < 32 / T::BYTES; k++) sum += at(a, row, k) * at(b, column, k);
            d[i] = float(sum);
        }
    }
};

#endif

// d (64 x N) += a b, over 32 bytes of k: a has 64 rows, b N. A thread holds rows 16 w + g and + 8,
// columns 8 i + 2 t and + 1, for its warp w of the four, g = lane / 4, t = lane % 4: in this order as in mma.cuh.
template <class T, int N>
__device__ inline void group_product(float (&d)[N / 2], Tile128 a, Tile128 b) {
    GroupProduct<T, N>::run(d, a, b);
}
