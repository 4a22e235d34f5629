// The product behind convolutions and fully connected layers, in exact f32: c (m x n) = sum over k of a (k, m) b (k, n).
//
// Flows in: two operands that know how to bring their next 16 values of k into shared memory. Flows out: an 8 x 8
// corner of the block's tile in each thread's registers. A block has a warp for every 64 x 32 of its tile; four
// stages of shared memory are filled by asynchronous copies while the oldest is multiplied.
#pragma once
#include "mma.cuh"

namespace product {

constexpr int BK = 16;
constexpr int STAGES = 4;

// Where an operand whose neighbours lie along k (and not along m or n) is kept: row i of column k, so that eight
// threads that bring eight values of k write to eight different banks.
__device__ inline int swizzled(int k, int i) { return i ^ (4 * (k % 8)); }

// Operand (k, i) = p[k * ld + i]: neighbours along m or n.
template <int WIDTH, int THREADS>
struct Rows {
    static constexpr bool SWIZZLED = false;
    const float* p;
    Count ld;
    int rest;   // how many i there are from the tile's first on
    bool wide;  // all rows begin at multiples of 16 bytes

    __device__ Rows(const float* base, Count ld, int first, int len)
        : p(base + first), ld(ld), rest(len - first), wide(ld % 4 == 0 && Count(base) % 16 == 0) {}
    __device__ void load(float* tile, int k0, int end) {
#pragma unroll
        for (int j = 0; j < BK * WIDTH / 4 / THREADS; j++) {
            int at = threadIdx.x + j * THREADS, k = at / (WIDTH / 4), i = at % (WIDTH / 4) * 4;
            int valid = k0 + k < end ? min(max(rest - i, 0), 4) : 0;
            const float* from = valid ? p + (k0 + k) * ld + i : p;
            if (wide) {
                cp_async_16(tile + k * WIDTH + i, from, 4 * valid);
            } else {
#pragma unroll
                for (int e = 0; e < 4; e++)
                    cp_async_4(tile + k * WIDTH + i + e, e < valid ? from + e : p, e < valid ? 4 : 0);
            }
        }
    }
};

// Operand (k, i) = p[i * ld + k]: neighbours along k.
template <int WIDTH, int THREADS>
struct Columns {
    static constexpr bool SWIZZLED = true;
    const float* p;
    Count ld;
    int rest;

    __device__ Columns(const float* base, Count ld, int first, int len)
        : p(base + first * ld), ld(ld), rest(len - first) {}
    __device__ void load(float* tile, int k0, int end) {
        int lane = threadIdx.x % 8;
#pragma unroll
        for (int j = 0; j < WIDTH / (THREADS / 8); j++) {
            int i = threadIdx.x / 8 + j * (THREADS / 8);
#pragma unroll
            for (int half = 0; half < BK; half += 8) {
                int k = lane + half;
                bool valid = k0 + k < end && i < rest;
                cp_async_4(tile + k * WIDTH + swizzled(k, i), valid ? p + i * ld + k0 + k : p, valid ? 4 : 0);
            }
        }
    }
};

// One block's tile.
template <int BM, int BN>
struct Tile {
    static constexpr int THREADS = BM / 64 * (BN / 32) * 32;
    static constexpr int SHARED = STAGES * BK * (BM + BN) * 4;
    float sum[8][8];
    int m0, n0;  // this thread's first row and column; it has rows m0 + {0..3, 32..35}, columns n0 + {0..3, 16..19}

    __device__ Tile() {
        int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
        m0 = warp % (BM / 64) * 64 + lane % 8 * 4;
        n0 = warp / (BM / 64) * 32 + lane / 8 * 4;
#pragma unroll
        for (int i = 0; i < 64; i++) sum[i / 8][i % 8] = 0.0f;
    }
    __device__ static int step(int i, int half) { return i % 4 + i / 4 * half; }
    __device__ int row(int i) const { return m0 + step(i, 32); }
    __device__ int column(int j) const { return n0 + step(j, 16); }

    template <class A, class B>
    __device__ void multiply(A& a, B& b, int begin, int end, float* shared) {
        float* stages_a = shared;
        float* stages_b = shared + STAGES * BK * BM;
        int steps = (end - begin + BK - 1) / BK;
        for (int s = 0; s < STAGES - 1; s++) {
            if (s < steps) {
                a.load(stages_a + s * BK * BM, begin + s * BK, end);
                b.load(stages_b + s * BK * BN, begin + s * BK, end);
            }
            cp_async_commit();
        }
        for (int s = 0; s < steps; s++) {
            cp_async_wait<STAGES - 2>();
            __syncthreads();  // step s is there for all, and all are done with step s - 1
            int next = s + STAGES - 1, to = next % STAGES;
            if (next < steps) {
                a.load(stages_a + to * BK * BM, begin + next * BK, end);
                b.load(stages_b + to * BK * BN, begin + next * BK, end);
            }
            cp_async_commit();
            compute<A::SWIZZLED, B::SWIZZLED>(stages_a + s % STAGES * BK * BM, stages_b + s % STAGES * BK * BN);
        }
    }

    template <bool SA, bool SB>
    __device__ void compute(const float* a, const float* b) {
#pragma unroll
        for (int k = 0; k < BK; k++) {
            int xa = SA ? swizzled(k, 0) : 0, xb = SB ? swizzled(k, 0) : 0;
            float4 a0 = *reinterpret_cast<const float4*>(a + k * BM + (m0 ^ xa));
            float4 a1 = *reinterpret_cast<const float4*>(a + k * BM + (m0 ^ xa) + 32);
            float4 b0 = *reinterpret_cast<const float4*>(b + k * BN + (n0 ^ xb));
            float4 b1 = *reinterpret_cast<const float4*>(b + k * BN + ((n0 + 16) ^ xb));
            float am[8] = {a0.x, a0.y, a0.z, a0.w, a1.x, a1.y, a1.z, a1.w};
            float bn[8] = {b0.x, b0.y, b0.z, b0.w, b1.x, b1.y, b1.z, b1.w};
#pragma unroll
            for (int i = 0; i < 8; i++)
#pragma unroll
                for (int j = 0; j < 8; j++) sum[i][j] = fmaf(am[i], bn[j], sum[i][j]);
        }
    }
};

__device__ inline float relu(float v, int on, float slope) { return on && !(v > 0.0f) ? slope * v : v; }

}  // namespace product
