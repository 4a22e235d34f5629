// Tensor cores and asynchronous copies as small functions: an instruction on the GPU, the same numbers on the host.
//
// Fragments are laid out as in the PTX ISA, "Warp Level Matrix Multiply-Accumulate Instructions": with
// g = lane / 4 and t = lane % 4, a lane holds of the result (16 x 8) rows g and g + 8, columns 2t and 2t + 1.
#pragma once
#include "host/portable.cuh"

// ---- numbers -------------------------------------------------------------------------------------------------------

#ifdef __CUDACC__
__device__ inline uint16_t f16_from(float x) {
    uint16_t h;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(x));
    return h;
}
__device__ inline float f16_to(uint16_t h) {
    float x;
    asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(h));
    return x;
}
#else
inline uint16_t f16_from(float x) {
    uint32_t bits = __float_as_uint(x), sign = bits >> 16 & 0x8000, rest = bits & 0x7fffffff;
    if (rest > 0x7f800000) return uint16_t(sign | 0x7fff);
    if (rest >= 0x477ff000) return uint16_t(sign | 0x7c00);  // 65520 and more
    if (rest < 0x38800000) {                                 // below the least normal number: multiples of 2^-24
        return uint16_t(sign | uint32_t(std::nearbyint(double(__uint_as_float(rest)) * 16777216.0)));
    }
    uint32_t up = rest + 0xfff + (rest >> 13 & 1);
    return uint16_t(sign | (up - 0x38000000) >> 13);
}
inline float f16_to(uint16_t h) {
    uint32_t sign = uint32_t(h & 0x8000) << 16, rest = h & 0x7fff;
    if (rest >= 0x7c00) return __uint_as_float(sign | 0x7f800000 | (rest & 0x3ff) << 13);
    if (rest < 0x400) return __uint_as_float(sign | __float_as_uint(float(rest) / 16777216.0f));
    return __uint_as_float(sign | ((rest << 13) + 0x38000000));
}
#endif

__device__ inline uint16_t bf16_from(float x) {
    uint32_t bits = __float_as_uint(x);
    if ((bits & 0x7fffffff) > 0x7f800000) return uint16_t(bits >> 16 | 0x40);
    return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
__device__ inline float bf16_to(uint16_t h) { return __uint_as_float(uint32_t(h) << 16); }

// Two numbers in a register, the first in the lower half.
__device__ inline uint32_t f16_pair(float low, float high) { return f16_from(low) | uint32_t(f16_from(high)) << 16; }
__device__ inline uint32_t bf16_pair(float low, float high) { return bf16_from(low) | uint32_t(bf16_from(high)) << 16; }

// Rounded to TF32: ten bits of mantissa, ties away from zero.
__device__ inline uint32_t to_tf32(float x) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    uint32_t bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
    return bits;
#else
    uint32_t bits = __float_as_uint(x);
    if ((bits & 0x7f800000) == 0x7f800000) return bits;
    return (bits + 0x1000) & 0xffffe000;
#endif
}

// ---- products of fragments -----------------------------------------------------------------------------------------

#ifdef __CUDACC__
#if __CUDA_ARCH__ >= 800
// d += a b; a is (16, 8), b (8, 8).
__device__ inline void mma_tf32(float d[4], const uint32_t a[4], const uint32_t b[2]) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
// d += a b; a is (16, 16), b (16, 8).
__device__ inline void mma_f16(float d[4], const uint32_t a[4], const uint32_t b[2]) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
__device__ inline void mma_bf16(float d[4], const uint32_t a[4], const uint32_t b[2]) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#endif
#else
namespace emulator {
struct Fragments {
    float d[4];
    uint32_t a[4], b[2];
};
// Registers as matrices, the product, and back. `k` is 8 with one number in a register, 16 with two.
template <class Number>
void multiply(int k, Fragments* lanes, Number number) {
    double a[16][16], b[16][8];
    int each = k / 8;
    for (int lane = 0; lane < 32; lane++) {
        int g = lane / 4, t = lane % 4;
        for (int i = 0; i < 4; i++)
            for (int e = 0; e < each; e++) {
                int column = each * t + e + (i / 2) * k / 2;
                a[g + i % 2 * 8][column] = number(lanes[lane].a[i], e);
                if (i < 2) b[each * t + e + i * k / 2][g] = number(lanes[lane].b[i], e);
            }
    }
    for (int lane = 0; lane < 32; lane++)
        for (int i = 0; i < 4; i++) {
            int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
            double sum = lanes[lane].d[i];
            for (int j = 0; j < k; j++) sum += a[row][j] * b[j][column];
            lanes[lane].d[i] = float(sum);
        }
}
template <class Number>
void multiply_together(int k, float d[4], const uint32_t a[4], const uint32_t b[2], Number number) {
    Fragments own;
    std::memcpy(own.d, d, sizeof own.d);
    std::memcpy(own.a, a, sizeof own.a);
    std::memcpy(own.b, b, sizeof own.b);
    own = collective(32, own, [&](Fragments* lanes) { multiply(k, lanes, number); });
    std::memcpy(d, own.d, sizeof own.d);
}
}  // namespace emulator
inline void mma_tf32(float d[4], const uint32_t a[4], const uint32_t b[2]) {
    emulator::multiply_together(8, d, a, b, [](uint32_t r, int) { return double(__uint_as_float(r & 0xffffe000)); });
}
inline void mma_f16(float d[4], const uint32_t a[4], const uint32_t b[2]) {
    emulator::multiply_together(16, d, a, b, [](uint32_t r, int e) { return double(f16_to(uint16_t(r >> 16 * e))); });
}
inline void mma_bf16(float d[4], const uint32_t a[4], const uint32_t b[2]) {
    emulator::multiply_together(16, d, a, b, [](uint32_t r, int e) { return double(bf16_to(uint16_t(r >> 16 * e))); });
}
#endif

// ---- from shared memory into fragments -----------------------------------------------------------------------------

#ifdef __CUDACC__
__device__ inline uint32_t shared_address(const void* p) { return uint32_t(__cvta_generic_to_shared(p)); }
// Four 8 x 8 matrices of 16-bit numbers; lane l gives the address of row l % 8 of matrix l / 8.
__device__ inline void ldmatrix_x4(uint32_t r[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(row)) : "memory");
}
__device__ inline void ldmatrix_x4_trans(uint32_t r[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(row)) : "memory");
}
// Two matrices; the addresses of lanes 16 and above are not used.
__device__ inline void ldmatrix_x2(uint32_t r[2], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1]) : "r"(shared_address(row)) : "memory");
}
__device__ inline void ldmatrix_x2_trans(uint32_t r[2], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1]) : "r"(shared_address(row)) : "memory");
}
#else
namespace emulator {
template <int N, bool TRANS>
void load_matrices(uint32_t r[N], const void* row) {
    struct Lane {
        const uint16_t* row;
        uint32_t r[N];
    };
    Lane own = collective(32, Lane{static_cast<const uint16_t*>(row), {}}, [](Lane* lanes) {
        for (int lane = 0; lane < 32; lane++)
            for (int i = 0; i < N; i++) {
                uint32_t pair = 0;
                for (int e = 0; e < 2; e++) {
                    int across = lane % 4 * 2 + e, down = lane / 4;
                    uint16_t v = TRANS ? lanes[8 * i + across].row[down] : lanes[8 * i + down].row[across];
                    pair |= uint32_t(v) << 16 * e;
                }
                lanes[lane].r[i] = pair;
            }
    });
    std::memcpy(r, own.r, sizeof own.r);
}
}  // namespace emulator
inline void ldmatrix_x4(uint32_t r[4], const void* row) { emulator::load_matrices<4, false>(r, row); }
inline void ldmatrix_x4_trans(uint32_t r[4], const void* row) { emulator::load_matrices<4, true>(r, row); }
inline void ldmatrix_x2(uint32_t r[2], const void* row) { emulator::load_matrices<2, false>(r, row); }
inline void ldmatrix_x2_trans(uint32_t r[2], const void* row) { emulator::load_matrices<2, true>(r, row); }
#endif

// ---- copies that go on while threads compute -----------------------------------------------------------------------

// 16 (or 4) bytes from global to shared memory; only the first `valid` are read, the others become zero.
__device__ inline void cp_async_16(void* to, const void* from, unsigned valid = 16) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(valid) : "memory");
#elif defined(__CUDACC__)
    *static_cast<uint4*>(to) = valid == 16 ? *static_cast<const uint4*>(from) : make_uint4(0, 0, 0, 0);
    for (unsigned i = 0; valid < 16 && i < valid; i++)
        static_cast<unsigned char*>(to)[i] = static_cast<const unsigned char*>(from)[i];
#else
    emulator::copy_later(to, from, 16, valid);
#endif
}
__device__ inline void cp_async_4(void* to, const void* from, unsigned valid = 4) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(shared_address(to)), "l"(from), "r"(valid) : "memory");
#elif defined(__CUDACC__)
    *static_cast<float*>(to) = valid == 4 ? *static_cast<const float*>(from) : 0.0f;
#else
    emulator::copy_later(to, from, 4, valid);
#endif
}
// What was begun since the last commit is a group.
__device__ inline void cp_async_commit() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    asm volatile("cp.async.commit_group;" ::: "memory");
#elif !defined(__CUDACC__)
    emulator::close_group();
#endif
}
// Waits for all but the N newest groups of this thread.
template <int N>
__device__ inline void cp_async_wait() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
#elif !defined(__CUDACC__)
    emulator::finish_groups(N);
#endif
}
