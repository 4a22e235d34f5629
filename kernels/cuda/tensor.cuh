// What both kinds of tensor-core convolutions share: their sizes, how tiles are numbered, how results are stored.
#pragma once
#include "numbers.cuh"

// A convolution of pictures (n, h, w, c). Rows of the product are positions, its columns filters, and k runs over
// (window, channel) in slabs of 128 bytes: weights are packed (filter, tap, slab), zeros behind the last channel.
struct TensorConv {
    int positions, out_h, out_w;
    int groups, filters, channels;           // filters and channels of a group
    int kernel_w, taps;
    int stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
    int slabs;                               // of a tap
    int tail;                                // products of 32 bytes in a tap's last slab
    int tiles_m, tiles_n;                    // of a group
    int splits, per_split;                   // the slabs of all taps are cut into ranges
    int row, row_in;                         // elements of a result's pixel, and of an input's
    int in_h, in_w;
    int has_bias, relu;
    float slope;
    int to_f32;                              // results stay f32, and are not rounded
    Count next_split;                        // elements from partial result to partial result
};

namespace tensor {

// A tile's place, and its range of slabs.
struct Work {
    int first_m, first_n, group, split, begin, end;
    __device__ Work(const TensorConv& d, int number, int bm, int bn) {
        first_n = number % d.tiles_n * bn;
        number /= d.tiles_n;
        first_m = number % d.tiles_m * bm;
        number /= d.tiles_m;
        group = number % d.groups;
        split = number / d.groups;
        begin = split * d.per_split;
        end = min(begin + d.per_split, d.taps * d.slabs);
    }
};

// Sixteen bytes a lane: of the eight columns of four neighbouring fragments each lane of a quad holds two; then each
// holds one fragment whole.
__device__ inline void transpose_quad(uint32_t (&u)[4]) {
    int t = threadIdx.x % 4;
#pragma unroll
    for (int i = 0; i < 4; i += 2) {
        uint32_t got = __shfl_xor_sync(~0u, t & 1 ? u[i] : u[i + 1], 1);
        if (t & 1) u[i] = got; else u[i + 1] = got;
    }
#pragma unroll
    for (int i = 0; i < 2; i++) {
        uint32_t got = __shfl_xor_sync(~0u, t & 2 ? u[i] : u[i + 2], 2);
        if (t & 2) u[i] = got; else u[i + 2] = got;
    }
}

__device__ inline float finished(const TensorConv& d, float v, float bias) {
    v += bias;
    return d.relu && !(v > 0.0f) ? d.slope * v : v;
}

// A warp's results: 16 rows from `first_row` on, `N` columns from `first_n` on, laid out as mma's.
template <class T, int N>
__device__ inline void store(const TensorConv& d, const Work& w, const float (&sum)[N / 2], int first_row, int first_n,
                             const float* bias, void* y) {
    int t = threadIdx.x % 4, row = first_row + threadIdx.x % 32 / 4;
    int column = w.group * d.filters;
#pragma unroll
    for (int i = 0; i < N / 2; i += 16) {  // 32 columns
        float b[8];
#pragma unroll
        for (int e = 0; e < 8; e++) {
            int n = first_n + i * 2 + e / 2 * 8 + 2 * t + e % 2;
            b[e] = d.has_bias && n < d.filters ? __ldg(bias + column + n) : 0.0f;
        }
#pragma unroll
        for (int half = 0; half < 2; half++) {
            int m = row + 8 * half;
            float v[8];
#pragma unroll
            for (int e = 0; e < 8; e++) v[e] = finished(d, sum[i + e / 2 * 4 + half * 2 + e % 2], b[e]);
            if (T::BYTES == 4 || d.to_f32) {
                float* to = static_cast<float*>(y) + w.split * d.next_split + Count(m) * d.row + column;
#pragma unroll
                for (int e = 0; e < 8; e += 2) {
                    int n = first_n + i * 2 + e / 2 * 8 + 2 * t;
                    float2 pair = d.to_f32 ? make_float2(v[e], v[e + 1])
                                           : make_float2(float(T::to(T::from(v[e]))), float(T::to(T::from(v[e + 1]))));
                    if (m < d.positions && n < d.filters) *reinterpret_cast<float2*>(to + n) = pair;
                }
            } else {
                uint32_t u[4];
#pragma unroll
                for (int e = 0; e < 4; e++)
                    u[e] = uint32_t(T::from(v[2 * e])) | uint32_t(T::from(v[2 * e + 1])) << 16;
                transpose_quad(u);
                int n = first_n + i * 2 + 8 * t;
                uint16_t* to = static_cast<uint16_t*>(y) + Count(m) * d.row + column + n;
                if (m < d.positions && n < d.filters) *reinterpret_cast<uint4*>(to) = make_uint4(u[0], u[1], u[2], u[3]);
            }
        }
    }
}

}  // namespace tensor
